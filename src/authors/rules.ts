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
import type { ImpairmentSpec } from "../model/rule-objects.ts";
import { sameValue } from "../model/same.ts";
import type { Derived, View } from "../store/derived.ts";
import type { Store } from "../store/store.ts";
import { type Annotated, type Cluster, GONE } from "./cluster.ts";
import { peerRoom, peersOf } from "./peers.ts";
import {
  impairmentsFrom,
  lastRules,
  limitsFrom,
  type ObjectRules,
  programsFrom,
  type Reading,
  readRules,
} from "./readings.ts";
import { endOf, impairmentCandidates, limitCandidates, noRoomForPeers } from "./rule-rows.ts";
import { type ObjectSelections, Selections } from "./selections.ts";

/** The rules of one kind that are in force for a pod, and those that are overruled. */
export interface Choice<T> {
  rules: readonly T[];
  overruled: readonly Overruled<T>[];
}

/** The rules of this node's pods: from their own metadata, from Limits and Impairments, and from Services. */
export class Rules {
  /** The rules in pods' own labels and annotations. */
  readonly readings: Derived<Reading>;
  readonly serviceReadings: Derived<Reading>;
  /** At most one per direction. */
  readonly limits: Derived<Choice<LimitRule>>;
  /** In chain order. */
  readonly impairments: Derived<Choice<ImpairRule>>;
  /** At most one per direction. */
  readonly programs: Derived<Choice<ProgramRule>>;
  readonly #selections: Selections;

  constructor(store: Store, cluster: Cluster, settings: RuleSettings) {
    const { localPods, annotatedServices, limits, impairments, lastGood } = cluster;
    const same = { same: sameValue };
    const read = (kind: "Pod" | "Service", before: Remembered | undefined, annotated: Annotated, view: View) => {
      const { reading, problems } = readRules(before, kind, annotated, settings);
      for (const one of problems) view.tell(one);
      return reading;
    };
    const readPod = (key: string, view: View): Reading | undefined => {
      const [annotated, before] = [view.row(localPods, key), view.row(lastGood, key)];
      if (annotated === GONE) return before && lastRules(before);
      return annotated && read("Pod", before, annotated, view);
    };
    const readService = (key: string, view: View): Reading | undefined => {
      const annotated = view.row(annotatedServices, key);
      return annotated && read("Service", view.row(lastGood, `Service/${key}`), annotated, view);
    };
    this.readings = store.derive("rules of pods", [localPods], readPod, same);
    this.serviceReadings = store.derive("rules of services", [annotatedServices], readService, same);
    this.#selections = new Selections(store, cluster);
    const limited = this.#selections.follow(store, "Limit", limits);
    const impaired = this.#selections.follow(store, "Impairment", impairments);
    const limitsOfObjects = store.derive("candidates of limits", [limits], (key, view) => {
      const ruleRow = view.row(limits, key);
      return ruleRow && limitCandidates(ruleRow);
    });
    const impairmentsOfObjects = deriveCandidates(store, cluster, { selections: this.#selections, impaired }, settings);
    const { readings } = this;
    const limitsOf = (key: string, view: View) => {
      const said = this.#said(key, view, limitsFrom);
      const objects = () => this.#selections.choosing(key, limited, view);
      return choose(
        chooseLimits,
        said.own,
        said.gone ? [] : objects().map((one) => view.row(limitsOfObjects, one)),
        view,
      );
    };
    const impairmentsOf = (key: string, view: View) => {
      const said = this.#said(key, view, (...one) => impairmentsFrom(...one, settings));
      const objects = () => this.#selections.choosing(key, impaired, view);
      const others = said.gone ? [] : objects().map((one) => view.row(impairmentsOfObjects, one));
      return choose(chooseImpairments, said.own, others, view);
    };
    const programsOf = (key: string, view: View) =>
      choose(choosePrograms, this.#said(key, view, programsFrom).own, [], view);
    this.limits = store.derive("limits of pods", [readings], limitsOf, same);
    this.impairments = store.derive("impairments of pods", [readings], impairmentsOf, same);
    this.programs = store.derive("programs of pods", [readings], programsOf, same);
  }

  /** Candidates from the pod itself and from the Services that select it. */
  #said<T>(
    key: string,
    view: View,
    candidates: (said: ObjectRules, rank: number, object: string) => Candidate<T>[],
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

/** Each Impairment's rules as candidates for the pods that it selects; marked `ended` once its time has passed. */
function deriveCandidates(
  store: Store,
  cluster: Cluster,
  { selections, impaired }: { selections: Selections; impaired: ObjectSelections<ImpairmentSpec> },
  settings: RuleSettings,
): Derived<readonly Candidate<ImpairRule>[]> {
  const { impairments } = cluster;
  const peers = peersOf(store, cluster, selections);
  const room = peerRoom(store, peers, selections, impaired);
  return store.derive<readonly Candidate<ImpairRule>[]>("candidates of impairments", [impairments], (key, view) => {
    const ruleRow = view.row(impairments, key);
    if (!ruleRow) return undefined;
    const isRefused = view.row(room, key) !== undefined;
    if (isRefused) view.tell(noRoomForPeers(ruleRow));
    const candidates = impairmentCandidates(ruleRow, isRefused ? [] : view.row(peers, key), settings);
    const until = endOf(ruleRow.spec);
    const ended = until !== undefined && view.isPast(until);
    return ended ? candidates.map((one) => ({ ...one, ended })) : candidates;
  });
}
