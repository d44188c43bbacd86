import type { ImpairRule } from "../model/impair.ts";
import type { LimitRule, RuleSettings } from "../model/limits.ts";
import {
  type Candidate,
  type Chosen,
  chooseImpairments,
  chooseLimits,
  choosePrograms,
  type Overruled,
  RANK,
} from "../model/precedence.ts";
import type { ProgramRule } from "../model/programs.ts";
import type { Remembered } from "../model/remembered.ts";
import { sameValue } from "../model/same.ts";
import type { Derived, View } from "../store/derived.ts";
import type { Store } from "../store/store.ts";
import { type Cluster, GONE, type Speaker } from "./cluster.ts";
import { peersOf } from "./peers.ts";
import {
  impairmentsSaid,
  lastRules,
  limitsSaid,
  programsSaid,
  type Reading,
  readRules,
  type Said,
} from "./readings.ts";
import { Selections } from "./selections.ts";
import { endOf, impairmentCandidates, limitCandidates } from "./words.ts";

/** The rules of one kind that count for a pod, and those that do not. */
export interface Choice<T> {
  rules: readonly T[];
  overruled: readonly Overruled<T>[];
}

/** The rules of this node's pods: their own, those of objects that choose them, and those of their Services. */
export class Rules {
  /** What pods' own labels and annotations say. */
  readonly readings: Derived<Reading>;
  readonly serviceReadings: Derived<Reading>;
  /** At most one a direction. */
  readonly limits: Derived<Choice<LimitRule>>;
  /** In the order of their chain places. */
  readonly impairments: Derived<Choice<ImpairRule>>;
  /** At most one a direction. */
  readonly programs: Derived<Choice<ProgramRule>>;
  readonly #selections: Selections;

  constructor(store: Store, cluster: Cluster, settings: RuleSettings) {
    const { here, speakers, limits, impairments, lastGood } = cluster;
    const same = { same: sameValue };
    const read = (kind: "Pod" | "Service", before: Remembered | undefined, speaker: Speaker, view: View) => {
      const { reading, problems } = readRules(before, kind, speaker, settings);
      for (const one of problems) view.tell(one);
      return reading;
    };
    const readPod = (key: string, view: View): Reading | undefined => {
      const [speaker, before] = [view.row(here, key), view.row(lastGood, key)];
      if (speaker === GONE) return before && lastRules(before);
      return speaker && read("Pod", before, speaker, view);
    };
    const readService = (key: string, view: View): Reading | undefined => {
      const speaker = view.row(speakers, key);
      return speaker && read("Service", view.row(lastGood, `Service/${key}`), speaker, view);
    };
    this.readings = store.derive("rules of pods", [here], readPod, same);
    this.serviceReadings = store.derive("rules of services", [speakers], readService, same);
    this.#selections = new Selections(store, cluster);
    const limited = this.#selections.follow(store, "Limit", limits);
    const impaired = this.#selections.follow(store, "Impairment", impairments);
    const limitWords = store.derive("words of limits", [limits], (key, view) => {
      const words = view.row(limits, key);
      return words && limitCandidates(words);
    });
    const impairWords = impairmentWords(store, cluster, this.#selections, settings);
    const { readings } = this;
    const limitsOf = (key: string, view: View) => {
      const said = this.#said(key, view, limitsSaid);
      const objects = () => this.#selections.choosing(key, limited, view);
      return choose(chooseLimits, said.own, said.gone ? [] : objects().map((one) => view.row(limitWords, one)), view);
    };
    const impairmentsOf = (key: string, view: View) => {
      const said = this.#said(key, view, (...one) => impairmentsSaid(...one, settings));
      const objects = () => this.#selections.choosing(key, impaired, view);
      const others = said.gone ? [] : objects().map((one) => view.row(impairWords, one));
      return choose(chooseImpairments, said.own, others, view);
    };
    const programsOf = (key: string, view: View) =>
      choose(choosePrograms, this.#said(key, view, programsSaid).own, [], view);
    this.limits = store.derive("limits of pods", [readings], limitsOf, same);
    this.impairments = store.derive("impairments of pods", [readings], impairmentsOf, same);
    this.programs = store.derive("programs of pods", [readings], programsOf, same);
  }

  /** What the pod itself says, and its Services. */
  #said<T>(
    key: string,
    view: View,
    candidates: (said: Said, rank: number, object: string) => Candidate<T>[],
  ): { own: Candidate<T>[]; gone: boolean } {
    const reading = view.row(this.readings, key);
    if (!reading) return { own: [], gone: true };
    const own = candidates(reading.said, RANK.own, `Pod/${key}`);
    if (reading.gone) return { own, gone: true };
    const services = view.selectorsOf(this.#selections.services, key).flatMap((service) => {
      const said = view.row(this.serviceReadings, service)?.said;
      return said ? candidates(said, RANK.service, `Service/${service}`) : [];
    });
    return { own: [...own, ...services], gone: false };
  }
}

function choose<T>(
  among: (candidates: readonly Candidate<T>[]) => Chosen<T>,
  said: readonly Candidate<T>[],
  others: readonly (readonly Candidate<T>[] | undefined)[],
  view: View,
): Choice<T> | undefined {
  const candidates = [...said, ...others.flatMap((one) => one ?? [])];
  if (candidates.length === 0) return undefined;
  const { rules, overruled, problems } = among(candidates);
  for (const one of problems) view.tell(one);
  return { rules, overruled };
}

/** What each Impairment says of the pods that it chooses; one whose time is over says it as ended. */
function impairmentWords(
  store: Store,
  cluster: Cluster,
  selections: Selections,
  settings: RuleSettings,
): Derived<readonly Candidate<ImpairRule>[]> {
  const { impairments } = cluster;
  const peers = peersOf(store, cluster, selections);
  return store.derive<readonly Candidate<ImpairRule>[]>("words of impairments", [impairments], (key, view) => {
    const words = view.row(impairments, key);
    if (!words) return undefined;
    const candidates = impairmentCandidates(words, view.row(peers, key), settings);
    const until = endOf(words.spec);
    const ended = until !== undefined && view.isPast(until);
    return ended ? candidates.map((one) => ({ ...one, ended })) : candidates;
  });
}
