import type { ObjectStatus } from "../sources/kubernetes/index.ts";

/** One node's entry of an object in `status.nodes`. */
export interface NodeEntry {
  name: string;
  observedGeneration: number;
  /** How many of the chosen pods have their network on this node. */
  pods: number;
  /** In force for all of them. */
  enforced: boolean;
  /** Why it is not. */
  message?: string | undefined;
  /** RFC 3339, whole seconds. */
  lastTransitionTime: string;
}

export interface Condition {
  type: "Accepted" | "Enforced";
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  observedGeneration: number;
  lastTransitionTime: string;
}

/** What an agent found about one object on its node. */
export interface ObjectResult {
  /** Why its values are refused; empty if they are not. */
  refusals: readonly string[];
  /** Chosen pods with a network on this node. */
  pods: number;
  /** Why it is not, or not whole, in force for them. */
  faults: readonly string[];
}

const LONGEST = 1000;
const cut = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);

/** This node's entry; undefined if it has nothing to say. The time stays as long as the answer does. */
export function nodeEntry(node: string, { generation, status }: ObjectStatus, finding: ObjectResult, now: string) {
  if (finding.pods === 0 && finding.faults.length === 0) return undefined;
  const enforced = finding.faults.length === 0;
  const before = entriesOf(status).find(({ name }) => name === node);
  const since = before?.enforced === enforced ? before.lastTransitionTime : now;
  const entry: NodeEntry = {
    ...{ name: node, observedGeneration: generation, pods: finding.pods, enforced, lastTransitionTime: since },
    ...(!enforced && { message: cut(finding.faults.join("; ")) }),
  };
  return entry;
}

/**
 * The conditions of the whole cluster: made of what nodes said and of nothing that is one agent's own, so that all
 * agents write the same. Entries of nodes that are gone do not count. Pure.
 */
export function conditionsOf(
  { generation, status }: ObjectStatus,
  refusals: readonly string[],
  nodes: Pick<ReadonlySet<string>, "has">,
  now: string,
): Condition[] {
  const before = knownConditions(status);
  const since = (type: string, value: string): string => {
    const known = before.find((one) => one["type"] === type);
    return known?.["status"] === value && typeof known["lastTransitionTime"] === "string"
      ? known["lastTransitionTime"]
      : now;
  };
  const make = (type: Condition["type"], value: Condition["status"], reason: string, message: string): Condition => ({
    ...{ type, status: value, reason, message: cut(message) },
    ...{ observedGeneration: generation, lastTransitionTime: since(type, value) },
  });
  const accepted =
    refusals.length > 0
      ? make("Accepted", "False", "Invalid", refusals.join("; "))
      : make("Accepted", "True", "Valid", "its values are in order");
  const entries = entriesOf(status).filter(({ name }) => nodes.has(name));
  return [accepted, make("Enforced", ...enforcedOf(entries, generation))];
}

function enforcedOf(entries: readonly NodeEntry[], generation: number): [Condition["status"], string, string] {
  if (entries.length === 0) return ["False", "NoPods", "it chooses no pod that has a network on a node"];
  const late = entries.filter(({ observedGeneration }) => observedGeneration !== generation);
  if (late.length > 0) return ["Unknown", "Pending", `not yet seen by ${named(late)}`];
  const faults = entries.filter(({ enforced }) => !enforced);
  const [first] = faults;
  const pods = entries.reduce((sum, one) => sum + one.pods, 0);
  if (!first) return ["True", "InForce", `in force for ${count(pods, "pod")} on ${count(entries.length, "node")}`];
  const rest = faults.length > 1 ? ` (and on ${count(faults.length - 1, "other node")})` : "";
  return ["False", "NotEnforced", `${first.name}: ${first.message ?? "not in force"}${rest}`];
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
const named = (entries: readonly NodeEntry[]): string => {
  const names = entries.map(({ name }) => name).sort();
  return names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
};

const records = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === "object" && one !== null) : [];

export const entriesOf = (status: ObjectStatus["status"]): NodeEntry[] =>
  (records(status["nodes"]) as unknown as NodeEntry[]).filter(({ name }) => typeof name === "string");
export const knownConditions = (status: ObjectStatus["status"]): Record<string, unknown>[] =>
  records(status["conditions"]);
