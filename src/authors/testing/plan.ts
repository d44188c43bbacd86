import type { Document } from "../../model/document.ts";
import type { ImpairRule } from "../../model/impair.ts";
import type { LimitRule, RuleSettings } from "../../model/limits.ts";
import { objectKey, podKey } from "../../model/names.ts";
import type { HostPod, NodeContext, PodAttachment, Tap } from "../../model/node-context.ts";
import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import type { ProgramInForce, ProgramRule } from "../../model/programs.ts";
import type { LastGood, Remembered } from "../../model/remembered.ts";
import { Planner } from "../planner.ts";

/** All inputs of planning, at one time. */
export interface Input {
  node: NodeContext;
  objects?: readonly ManifestObject[];
  endpoints?: readonly PodAttachment[];
  taps?: readonly Tap[];
  hosts?: readonly HostPod[];
  builds?: ReadonlyMap<string, readonly ProgramInForce[]>;
  settings?: RuleSettings | undefined;
  lastGood?: LastGood;
  now?: number | undefined;
}

/** The most functions that a test's chain can hold. */
export const MAX_CHAIN = 7;

/** A new planner with all of this input. */
export function plannerOf({ node, settings, now = 0, ...input }: Input): Planner {
  const planner = new Planner({ node, settings, maxChain: MAX_CHAIN, now });
  const { cluster } = planner;
  for (const [key, one] of input.lastGood ?? []) cluster.lastGood.set(key, one);
  for (const one of input.objects ?? []) cluster.put(objectKey(one.kind, one.metadata), one);
  for (const one of input.endpoints ?? []) cluster.putAttachment(podKey(one), one);
  for (const one of input.taps ?? []) cluster.taps.set(podKey(one), one);
  for (const one of input.hosts ?? []) cluster.hosts.set(podKey(one), one);
  for (const [key, one] of input.builds ?? []) cluster.builds.set(key, one);
  planner.forgetLost();
  planner.settle(now);
  return planner;
}

/** The planner's whole document. */
export function documentOf(planner: Planner): Document {
  planner.take();
  return planner.composer.whole();
}

/** The planner's rules, by pod. */
export function outcomeOf(planner: Planner) {
  const { rules, cluster, nodes } = planner;
  const by = <T>(kind: "limits" | "impairments" | "programs", pick: "rules" | "overruled") =>
    new Map(
      rules[kind].keys().flatMap((key): [string, readonly T[]][] => {
        const list = rules[kind].get(key)?.[pick] ?? [];
        return list.length > 0 ? [[key, list as readonly T[]]] : [];
      }),
    );
  return {
    limits: by<LimitRule>("limits", "rules"),
    impairments: by<ImpairRule>("impairments", "rules"),
    programs: by<ProgramRule>("programs", "rules"),
    overruled: { limits: by("limits", "overruled"), impairments: by("impairments", "overruled") },
    nodes: nodes.keys().flatMap((key) => nodes.get(key) ?? []),
    lastGood: new Map(cluster.lastGood.keys().map((key) => [key, cluster.lastGood.get(key) as Remembered])) as LastGood,
    problems: planner.problems(),
  };
}

/** Plans from nothing with these last valid rules. Returns the result, and the last valid rules after it. */
export function planned(lastGood: LastGood, input: Omit<Input, "lastGood"> & { problems?: readonly Problem[] }) {
  const planner = plannerOf({ ...input, lastGood });
  const { lastGood: next, problems, ...found } = outcomeOf(planner);
  const { node } = input;
  const { cluster } = planner;
  const pods = cluster.pods.keys().flatMap((key) => cluster.pods.get(key) ?? []);
  const endpoints = cluster.attachments.keys().flatMap((key) => cluster.attachments.get(key) ?? []);
  const state = { node, endpoints, pods, ...found, problems: [...(input.problems ?? []), ...problems] };
  return { state, lastGood: next, planner };
}
