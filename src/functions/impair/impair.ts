import { createHash } from "node:crypto";
import { type ClusterState, type PodPort, podPorts } from "../../model/cluster.ts";
import type { Contribution, Instance, InstanceLease } from "../../model/desired.ts";
import type { NetworkFunction } from "../../model/function.ts";
import { type ImpairRule, MAX_IMPAIRMENTS } from "../../model/impair.ts";
import type { Direction } from "../../model/limits.ts";
import { memo } from "../../model/memo.ts";
import { delayLinks } from "../../model/panel.ts";
import { ownRows, peerRows, ruleRow } from "./rows.ts";

/** Place in a chain among other functions: before the limit, as in a network whose losses cost no budget behind them. */
const ORDER = 75;

/** A rule at its place. */
export interface Impairment {
  instance: string;
  at: PodPort;
  /** Among those of its port and direction, from 0. */
  place: number;
  rule: ImpairRule;
}

/** Loses, duplicates, corrupts, reorders, delays and paces a pod's packets, in each direction. */
export const impair: NetworkFunction = {
  name: "impair",
  kind: "transparent",
  summary: "loses, duplicates, corrupts, reorders, delays and paces packets as a rule asks, each by itself",
  tables: ["weir_impairs", "weir_impair_peers"],
  state: ["weir_impair_use"],
  desired(state: ClusterState): Contribution {
    const impairments = impairmentsOf(state);
    return {
      // there before the first delay and after the last one, which would take along what the pair holds
      links: state.node.fq ? delayLinks() : [],
      instances: impairments.map((one) => instanceOf(one)),
      attach: impairments.map((one) => attachment(one)),
      leases: impairments.flatMap(lease),
      // concat: rules for many peers have tens of thousands of rows, which spread and flatMap take one by one
      rows: (impairments.length > 0 ? ownRows(state.node) : []).concat(
        impairments.map((one) => ruleRow(one, state.node)),
        ...impairments.map((one) => peerRows(one)),
      ),
    };
  },
};

type Attachment = NonNullable<Contribution["attach"]>[number];

/** Instance of one rule of a pod's port: stays the same while the rule keeps its id. */
export function impairInstance(port: string, direction: Direction, ruleId: string): string {
  return `impair:${port}:${direction}:${createHash("sha256").update(ruleId).digest("hex").slice(0, 8)}`;
}

/** In the order of their places. A rule for nobody is none. */
function impairmentsOf(state: ClusterState): Impairment[] {
  return podPorts(state).flatMap((at) => impairmentsAt(at, state.impairments.get(at.key) ?? NONE));
}

const NONE: readonly ImpairRule[] = [];
const impairmentsAt = memo((at: PodPort, all: readonly ImpairRule[]): Impairment[] => {
  const rules = all.filter(({ match }) => match.peers?.length !== 0);
  return (["ingress", "egress"] as const).flatMap((direction) =>
    rules
      .filter((rule) => rule.direction === direction)
      .slice(0, MAX_IMPAIRMENTS)
      .map((rule, place) => ({ instance: impairInstance(at.id, direction, rule.id), at, place, rule })),
  );
});

const instanceOf = memo(({ instance }: Impairment): Instance => ({ name: instance, function: "impair" }));

const attachment = memo(
  ({ instance, at, place, rule }: Impairment): Attachment => ({
    port: at.port,
    // what a pod sends enters its port, what it receives leaves by it
    direction: rule.direction === "egress" ? "ingress" : "egress",
    instance,
    order: ORDER + place / MAX_IMPAIRMENTS,
  }),
);

function lease({ instance, rule }: Impairment): InstanceLease[] {
  return rule.lease ? [{ instance, ...rule.lease }] : [];
}
