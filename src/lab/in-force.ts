import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../api/client.ts";
import { objectKey } from "../model/names.ts";
import type { Problem } from "../model/problem.ts";
import { messageOf } from "./errors.ts";

/** The result of a change for one pod. */
export interface ForceResult {
  pod: string;
  /** Why the change is not, or not completely, in force; empty if it is. */
  problems: readonly Problem[];
}

/** A pod and the version of it that its agent must put in force. */
export interface Expectation {
  key: string;
  resourceVersion: string;
  /** True if another change has removed the pod: nothing is expected of it any more. */
  isGone?: (() => boolean) | undefined;
}

export interface AgentPod {
  namespace: string;
  name: string;
  resourceVersion?: string | null | undefined;
  problems: readonly unknown[];
}

/** Resource versions increase; an agent that reports a later version has also handled this one. */
export function reached(seen: string | null | undefined, wanted: string): boolean {
  return seen !== undefined && seen !== null && /^\d+$/.test(seen) && BigInt(seen) >= BigInt(wanted);
}

/** An agent's problem as a Problem; agents send text, or an object with a message. */
export function toProblem(pod: string, raw: unknown): Problem {
  const object = `Pod/${pod}`;
  if (typeof raw === "string") return { object, message: raw };
  const { message, path, severity, at } = (raw ?? {}) as Partial<Problem>;
  return { object, message: String(message ?? JSON.stringify(raw)), path, severity, at };
}

/**
 * Polls a node's agent until it reports every expected pod at its version or a later one. Returns a result for each pod
 * that still exists; after `patience` ms missing pods get an error.
 */
export async function waitInForce(
  agent: Client,
  expected: readonly Expectation[],
  patience: number,
  signal?: AbortSignal,
): Promise<ForceResult[]> {
  const missing = new Map(expected.map((one) => [one.key, one]));
  const results: ForceResult[] = [];
  const deadline = Date.now() + patience;
  let trouble = "the agent has not reported it";
  for (let pause = 5; missing.size > 0; pause = Math.min(pause * 1.5, 100)) {
    try {
      results.push(...takeReported(await agent.list("pods"), missing));
    } catch (error) {
      trouble = messageOf(error);
    }
    for (const [key, { isGone }] of missing) if (isGone?.()) missing.delete(key);
    if (missing.size === 0) break;
    if (Date.now() > deadline || signal?.aborted === true) break;
    await sleep(pause);
  }
  for (const key of missing.keys()) {
    results.push({
      pod: key,
      problems: [{ object: `Pod/${key}`, message: `not in force after ${patience / 1000} s: ${trouble}` }],
    });
  }
  return results;
}

/** Removes from `missing` the pods that the agent has reported at the wanted version, and returns their results. */
function takeReported(pods: readonly AgentPod[], missing: Map<string, Expectation>): ForceResult[] {
  const results: ForceResult[] = [];
  for (const item of pods) {
    const key = `${item.namespace}/${item.name}`;
    const wanted = missing.get(key);
    if (wanted === undefined || !reached(item.resourceVersion, wanted.resourceVersion)) continue;
    missing.delete(key);
    results.push({ pod: key, problems: item.problems.map((raw) => toProblem(key, raw)) });
  }
  return results;
}

/** Objects whose problems a change of rules may cause. */
const RULE = /^(Service|Limit|Impairment)\//;
export const isRuleKey = (object: string): boolean => RULE.test(object);

/**
 * Deletes objects that were applied to the agents directly, as `weir impair` does. Reports an agent that does not
 * answer.
 */
export async function deleteApplied(
  agents: ReadonlyMap<string, Client>,
  keys: readonly string[],
): Promise<{ removed: string[]; problems: Problem[] }> {
  const removed: string[] = [];
  const problems: Problem[] = [];
  const ask = async ([node, agent]: [string, Client]): Promise<void> => {
    try {
      const held = (await agent.list("objects")).map((one) => ({ ...one, namespace: one.namespace ?? undefined }));
      for (const one of held.filter(({ kind, ...metadata }) => keys.includes(objectKey(kind, metadata)))) {
        await agent.deleteObject(one);
        removed.push(objectKey(one.kind, one));
      }
    } catch (error) {
      const message = `what was applied at its agent may stay: ${messageOf(error)}`;
      problems.push({ object: `Node/${node}`, severity: "warning", message });
    }
  };
  await Promise.all([...agents].map(ask));
  return { removed, problems };
}

/**
 * Waits until a node's agent has put a version of Services, Limits and Impairments in force; returns their problems.
 */
export async function waitRules(
  agent: Client,
  { node, version }: { node: string; version: string },
  patience: number,
  signal?: AbortSignal,
): Promise<Problem[]> {
  const deadline = Date.now() + patience;
  let trouble = "the agent has not reported it";
  for (let pause = 5; ; pause = Math.min(pause * 1.5, 100)) {
    try {
      const { observed } = await agent.status();
      if (reached(observed.resourceVersion, version)) break;
    } catch (error) {
      trouble = messageOf(error);
    }
    if (signal?.aborted === true) return [];
    if (Date.now() > deadline) {
      return [{ object: `Node/${node}`, message: `rules are not in force after ${patience / 1000} s: ${trouble}` }];
    }
    await sleep(pause);
  }
  return problemsOfRules(agent);
}

/** An agent's problems of Services, Limits and Impairments. */
export async function problemsOfRules(agent: Client): Promise<Problem[]> {
  const problems = await agent.list("problems");
  return problems
    .filter(({ object }) => isRuleKey(object))
    .map(({ object, path, message, severity }) => ({ object, path, message, severity }));
}
