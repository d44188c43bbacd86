import { createHash } from "node:crypto";
import type { PodPort } from "../../model/cluster.ts";
import type { Fragment } from "../../model/document.ts";
import type { NetworkFunction } from "../../model/function.ts";
import { type ImpairRule, MAX_IMPAIRMENTS } from "../../model/impair.ts";
import type { Direction } from "../../model/limits.ts";
import { peerRows, ruleRow } from "./rows.ts";

/** Place in a chain among other functions: before the limit, as in a network whose losses cost no budget behind them. */
const ORDER = 75;

/** Loses, duplicates, corrupts, reorders, delays and paces a pod's packets, in each direction. */
export const impair: NetworkFunction = {
  name: "impair",
  kind: "transparent",
  summary: "loses, duplicates, corrupts, reorders, delays and paces packets as a rule asks, each by itself",
  tables: ["weir_impairs", "weir_impair_peers"],
  state: ["weir_impair_use"],
};

/** Instance of one rule of a pod's port: stays the same while the rule keeps its id. */
export function impairInstance(port: string, direction: Direction, ruleId: string): string {
  return `impair:${port}:${direction}:${createHash("sha256").update(ruleId).digest("hex").slice(0, 8)}`;
}

/**
 * One rule at a pod's port.
 * @param place among those of its port and direction, from 0
 * @param fq the kernel can hold packets
 */
export function impairItems(at: PodPort, rule: ImpairRule, place: number, fq: boolean): Omit<Fragment, "owner"> {
  const instance = impairInstance(at.id, rule.direction, rule.id);
  return {
    instances: [{ name: instance, function: "impair" }],
    attach: [
      {
        port: at.port,
        // what a pod sends enters its port, what it receives leaves by it
        direction: rule.direction === "egress" ? "ingress" : "egress",
        instance,
        order: ORDER + place / MAX_IMPAIRMENTS,
      },
    ],
    leases: rule.lease ? [{ instance, ...rule.lease }] : [],
    // concat: rules for many peers have tens of thousands of rows, which spread and flatMap take one by one
    rows: () => [ruleRow(instance, rule, fq)].concat(peerRows(instance, rule)),
  };
}
