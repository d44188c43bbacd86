/**
 * The kinds of items of an agent, for the REST routes, `weir get`, `weir explain` and completion.
 * Plain data without imports, since the command line reads it at every start.
 */

export interface Kind {
  /** Name in URLs and on the command line, e.g. `pods`. */
  name: KindName;
  /** Other names that `weir get` accepts. */
  aliases: readonly string[];
  /** One line for help and docs. */
  summary: string;
}

export type KindName =
  | "pods"
  | "limits"
  | "impairments"
  | "programs"
  | "ports"
  | "chains"
  | "drops"
  | "topology"
  | "problems"
  | "endpoints"
  | "objects";

/** The kinds whose route returns `{items: […]}`; `topology` returns one document. */
export type ListName = Exclude<KindName, "topology">;

export const kinds: readonly Kind[] = [
  {
    name: "pods",
    aliases: ["pod", "po"],
    summary: "pods of the node with their addresses and problems",
  },
  {
    name: "limits",
    aliases: ["limit"],
    summary: "bandwidth limits: configured, effective, measured, and why they differ",
  },
  {
    name: "impairments",
    aliases: ["impairment"],
    summary: "impairments: configured, effective, counters of their effects, and when they end",
  },
  {
    name: "programs",
    aliases: ["program"],
    summary: "users' programs: configured, effective, counters of their verdicts, and why they are not in force",
  },
  {
    name: "ports",
    aliases: ["port"],
    summary: "ports of the network functions, their peers and counters",
  },
  {
    name: "chains",
    aliases: ["chain"],
    summary: "the order in which functions see a port's packets",
  },
  {
    name: "drops",
    aliases: ["drop"],
    summary: "dropped packets by port and reason",
  },
  {
    name: "topology",
    aliases: ["topologies"],
    summary: "the desired state as a document: links, instances, ports, tables, shapers",
  },
  {
    name: "problems",
    aliases: ["problem"],
    summary: "what was refused or could not be enforced, and why",
  },
  {
    name: "endpoints",
    aliases: ["endpoint", "ep"],
    summary: "pods that a runtime has attached, with their devices",
  },
  {
    name: "objects",
    aliases: ["object"],
    summary: "objects that were applied to the agent",
  },
];
