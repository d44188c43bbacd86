import type { Endpoint, OverruledRules } from "../model/cluster.ts";
import type { ImpairRule } from "../model/impair.ts";
import { chosen, impairmentRules, LOSS_KEYS, lossRule, reduceLosses } from "../model/impairments.ts";
import type { ByKey } from "../model/keyed.ts";
import { type LimitRule, limitsOf, type PodRules, RULE_KEYS, type RuleSettings, reduceRules } from "../model/limits.ts";
import { lookAlikes } from "../model/look-alikes.ts";
import type { ParsedLoss } from "../model/losses.ts";
import { memo, memoMembers } from "../model/memo.ts";
import { fieldPath, objectKey, podKey } from "../model/names.ts";
import type { Impairment, Limit, ManifestObject, Metadata, Pod, Problem, Service } from "../model/objects.ts";
import { ONE_OFF } from "../model/one-off.ts";
import {
  type Candidate,
  chooseImpairments,
  chooseLimits,
  choosePrograms,
  type Overruled,
  RANK,
} from "../model/precedence.ts";
import type { ParsedProgram } from "../model/program-rules.ts";
import { chosenPrograms, PROGRAM_KEYS, type ProgramRule, reducePrograms } from "../model/programs.ts";
import { parseBandwidthQuantity } from "../model/rules.ts";
import { Selection } from "./selection.ts";
import { overruledProblems } from "./unheard.ts";

/** Last good rules of one object's labels and annotations. */
export interface Remembered extends PodRules {
  losses?: ByKey<ParsedLoss> | undefined;
  programs?: ByKey<ParsedProgram> | undefined;
}
/** By `namespace/name` of a pod, or `Service/namespace/name`. Plain data; keep it over a restart and bad values keep meaning it. */
export type LastGood = ReadonlyMap<string, Remembered>;

export interface RulesInput {
  objects: readonly ManifestObject[];
  pods: readonly Pod[];
  /** `namespace/name` of the pods whose rules this node enforces. */
  here: ReadonlySet<string>;
  endpoints: readonly Endpoint[];
  settings: RuleSettings;
  /** ms since the epoch. */
  now?: number | undefined;
}

export interface RulesOutput {
  limits: Map<string, readonly LimitRule[]>;
  impairments: Map<string, readonly ImpairRule[]>;
  programs: Map<string, readonly ProgramRule[]>;
  overruled: OverruledRules;
  lastGood: Map<string, Remembered>;
  problems: Problem[];
}

/** What one author's labels and annotations say. */
interface Said {
  limits: readonly LimitRule[];
  losses: readonly (ParsedLoss & { key: string })[];
  programs: readonly (ParsedProgram & { key: string })[];
}

interface Reading {
  said: Said;
  remembered: Remembered | undefined;
  found: readonly Problem[];
}

/** The rules of this node's pods: their own, those of objects that select them, and those of their Services. Pure. */
export function reduceAllRules(before: LastGood, input: RulesInput): RulesOutput {
  const { objects, pods, here, endpoints, settings, now = 0 } = input;
  const lastGood = new Map<string, Remembered>();
  const problems: Problem[] = [];
  const selection = new Selection(objects, pods, endpoints);
  const candidates = new Candidates();
  const read = (kind: "Pod" | "Service", key: string, metadata: Metadata & { namespace: string }): Said => {
    const { said, remembered, found } = readAgain(before.get(key), kind, metadata, settings);
    problems.push(...found);
    if (remembered) lastGood.set(key, remembered);
    return said;
  };

  const readService = (service: Service): void => {
    const author = objectKey("Service", service.metadata);
    const said = read("Service", author, service.metadata);
    if (!hasRules(service)) return;
    for (const key of selection.service(service)) candidates.say(key, RANK.service, author, said, settings);
  };

  for (const pod of pods) {
    const key = podKey(pod.metadata);
    if (!here.has(key)) continue;
    candidates.say(key, RANK.own, objectKey("Pod", pod.metadata), read("Pod", key, pod.metadata), settings);
  }
  for (const object of objects) {
    if (object.kind === "Limit") candidates.limit(object, selection.pods(object, now));
    else if (object.kind === "Impairment") {
      const chosenPods = selection.pods(object, now);
      candidates.impairment(object, chosenPods, { peers: selection.peers(object), settings, now });
    } else if (object.kind === "Service") readService(object);
  }
  const { limits, impairments, programs, overruled, found } = candidates.choose(here);
  problems.push(...found, ...selection.problems, ...Object.values(overruled).flatMap(overruledProblems));
  keepForLiving(before, lastGood, { limits, impairments, programs }, input);
  return { limits, impairments, programs, overruled, lastGood, problems: distinct(problems) };
}

const readings = new WeakMap<Metadata, { before: Remembered | undefined; settings: RuleSettings; read: Reading }>();

/** Reads an object's rules, unless they are those of the last time: after it what is remembered is what was read. */
function readAgain(
  before: Remembered | undefined,
  kind: "Pod" | "Service",
  metadata: Metadata & { namespace: string },
  settings: RuleSettings,
): Reading {
  const last = readings.get(metadata);
  const isSame = last?.settings === settings && (last.before === before || last.read.remembered === before);
  if (last && isSame) return last.read;
  const read = readObject(before, kind, metadata, settings);
  readings.set(metadata, { before, settings, read });
  return read;
}

function readObject(
  before: Remembered | undefined,
  kind: "Pod" | "Service",
  metadata: Metadata & { namespace: string },
  settings: RuleSettings,
): Reading {
  const { rules, limits, problems } = reduceRules(before, metadata, settings, kind);
  const known = before?.uid === metadata.uid ? before?.losses : undefined;
  const knownPrograms = before?.uid === metadata.uid ? before?.programs : undefined;
  const { byKey, losses, problems: ofLosses } = reduceLosses(known ?? {}, kind, metadata, settings);
  const own = reducePrograms(knownPrograms ?? {}, kind, metadata, settings);
  const remembered = {
    ...rules,
    ...(Object.keys(byKey).length > 0 && { losses: byKey }),
    ...(Object.keys(own.byKey).length > 0 && { programs: own.byKey }),
  };
  const isEmpty = Object.keys({ ...rules.byKey, ...byKey, ...own.byKey }).length === 0;
  const found = [...problems, ...ofLosses, ...own.problems, ...strayKeys(metadata, kind, settings)];
  return { said: { limits, losses, programs: own.programs }, remembered: isEmpty ? undefined : remembered, found };
}

/** Keys that may have been meant as rules. */
function strayKeys(metadata: Metadata, kind: "Pod" | "Service", settings: RuleSettings): Problem[] {
  const object = objectKey(kind, metadata);
  const found = lookAlikes(metadata, settings);
  return found.map(({ map, key, message }) => ({ object, path: fieldPath(map, key), message, severity: "warning" }));
}

const KEYS = [...RULE_KEYS, ...LOSS_KEYS, ...PROGRAM_KEYS];
const hasRules = ({ metadata }: Service): boolean => KEYS.some(({ map, key }) => Object.hasOwn(metadata[map], key));

/** What is said of each pod, by whom. */
class Candidates {
  readonly #limits = new Map<string, (readonly Candidate<LimitRule>[])[]>();
  readonly #impairments = new Map<string, (readonly Candidate<ImpairRule>[])[]>();
  readonly #programs = new Map<string, (readonly Candidate<ProgramRule>[])[]>();

  say(pod: string, rank: number, object: string, said: Said, settings: RuleSettings): void {
    const { limits, impairments, programs } = candidatesOf(said, rank, object, settings);
    if (limits.length > 0) push(this.#limits, pod, limits);
    if (impairments.length > 0) push(this.#impairments, pod, impairments);
    if (programs.length > 0) push(this.#programs, pod, programs);
  }

  limit(limit: Limit, pods: readonly string[]): void {
    const candidates = limitCandidates(limit);
    for (const pod of pods) push(this.#limits, pod, candidates);
  }

  impairment(
    impairment: Impairment,
    pods: readonly string[],
    { peers, settings, now }: { peers: readonly string[] | undefined; settings: RuleSettings; now: number },
  ): void {
    if (pods.length === 0) return;
    const live = impairmentCandidates(impairment, peers, settings);
    const candidates = hasEnded(live, now) ? endedCandidates(live) : live;
    for (const pod of pods) push(this.#impairments, pod, candidates);
  }

  choose(here: ReadonlySet<string>) {
    const limits = new Map<string, readonly LimitRule[]>();
    const impairments = new Map<string, readonly ImpairRule[]>();
    const programs = new Map<string, readonly ProgramRule[]>();
    const overruled = {
      limits: new Map<string, readonly Overruled<LimitRule>[]>(),
      impairments: new Map<string, readonly Overruled<ImpairRule>[]>(),
      programs: new Map<string, readonly Overruled<ProgramRule>[]>(),
    };
    const found: Problem[] = [];
    for (const key of here) {
      const limited = limitsAmong(this.#limits.get(key) ?? []);
      const impaired = impairmentsAmong(this.#impairments.get(key) ?? []);
      const programmed = programsAmong(this.#programs.get(key) ?? []);
      putSome(limits, key, limited.rules);
      putSome(impairments, key, impaired.rules);
      putSome(programs, key, programmed.rules);
      putSome(overruled.limits, key, limited.overruled);
      putSome(overruled.impairments, key, impaired.overruled);
      putSome(overruled.programs, key, programmed.overruled);
      found.push(...limited.problems, ...impaired.problems, ...programmed.problems);
    }
    return { limits, impairments, programs, overruled, found };
  }
}

const limitCandidates = memo(({ metadata, spec }: Limit): readonly Candidate<LimitRule>[] => {
  const object = objectKey("Limit", metadata);
  return (["ingress", "egress"] as const).flatMap((direction) => {
    const written = spec[direction];
    const parsed = written === undefined ? undefined : parseBandwidthQuantity(written, direction);
    if (!parsed?.ok) return [];
    const path = `spec.${direction}`;
    return parsed.value.map((one) => ({ rank: RANK.object, object, path, rule: { ...one, source: object } }));
  });
});

const impairmentCandidates = memo(
  (impairment: Impairment, peers: readonly string[] | undefined, settings: RuleSettings) => {
    const object = objectKey("Impairment", impairment.metadata);
    const rank = rankOf(impairment);
    return impairmentRules(impairment, peers, settings).map(
      (rule): Candidate<ImpairRule> => ({ rank, object, path: "spec", rule }),
    );
  },
);

function rankOf({ metadata, spec }: Impairment): number {
  if (spec.override) return RANK.override;
  return metadata.labels[ONE_OFF] === "true" ? RANK.oneOff : RANK.object;
}

const hasEnded = ([one]: readonly Candidate<ImpairRule>[], now: number): boolean =>
  (one?.rule.lease?.until ?? Number.POSITIVE_INFINITY) <= now;
const endedCandidates = memo((live: readonly Candidate<ImpairRule>[]) =>
  live.map((one): Candidate<ImpairRule> => ({ ...one, ended: true })),
);

// What the same authors say, unchanged, comes to the same choice as the last time.
const limitsAmong = memoMembers((said: readonly (readonly Candidate<LimitRule>[])[]) => chooseLimits(said.flat()));
const impairmentsAmong = memoMembers((said: readonly (readonly Candidate<ImpairRule>[])[]) =>
  chooseImpairments(said.flat()),
);
const programsAmong = memoMembers((said: readonly (readonly Candidate<ProgramRule>[])[]) =>
  choosePrograms(said.flat()),
);

const candidatesOf = memo(
  ({ limits, losses, programs }: Said, rank: number, object: string, settings: RuleSettings) => {
    const isOwn = rank === RANK.own;
    return {
      limits: limits.map((rule): Candidate<LimitRule> => {
        const map = RULE_KEYS.find(({ key }) => key === rule.source)?.map ?? "annotations";
        const path = fieldPath(map, rule.source);
        return { rank, object, path, rule: isOwn ? rule : { ...rule, source: object } };
      }),
      impairments: losses.map((loss): Candidate<ImpairRule> => {
        const rule = lossRule(loss, isOwn ? loss.key : object, settings);
        return { rank, object, path: fieldPath("annotations", loss.key), rule };
      }),
      programs: programs.map((one): Candidate<ProgramRule> => {
        const rule = programRule(one, isOwn ? one.key : object, object);
        return { rank, object, path: rule.path, rule };
      }),
    };
  },
);

function programRule({ key, ...parsed }: ParsedProgram & { key: string }, source: string, object: string): ProgramRule {
  return { ...parsed, source, object, path: fieldPath("annotations", key) };
}

function putSome<T>(map: Map<string, readonly T[]>, key: string, list: readonly T[]): void {
  if (list.length > 0) map.set(key, list);
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/**
 * A pod's object goes before its network does. Its own rules stay as long as the network: else a dying pod would send
 * at full speed.
 */
function keepForLiving(
  before: LastGood,
  lastGood: Map<string, Remembered>,
  { limits, impairments, programs }: Pick<RulesOutput, "limits" | "impairments" | "programs">,
  { pods, endpoints, settings }: RulesInput,
): void {
  const known = new Set(pods.map((pod) => podKey(pod.metadata)));
  for (const endpoint of endpoints) {
    const key = podKey(endpoint);
    const rules = known.has(key) ? undefined : before.get(key);
    if (!rules) continue;
    lastGood.set(key, rules);
    const limited = limitsOf(rules);
    const impaired = chosen(rules.losses ?? {}).map((loss) => lossRule(loss, loss.key, settings));
    if (limited.length > 0) limits.set(key, limited);
    if (impaired.length > 0) impairments.set(key, impaired);
    const programmed = chosenPrograms(rules.programs ?? {}).map((one) =>
      programRule(one, one.key, objectKey("Pod", endpoint)),
    );
    if (programmed.length > 0) programs.set(key, programmed);
  }
}

/** One Service may say the same of a hundred pods. */
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [`${one.object} ${one.path} ${one.message}`, one])).values()];
}
