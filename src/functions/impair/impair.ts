import { createHash } from "node:crypto";
import type { Direction } from "../../model/directions.ts";
import type { Fragment } from "../../model/document.ts";
import type { NetworkFunction } from "../../model/function.ts";
import { type ImpairRule, MAX_IMPAIRMENTS } from "../../model/impair.ts";
import type { PodPort } from "../../model/node-context.ts";
import { peerRows, ruleRow } from "./rows.ts";

/** Order in a chain: before the limit, so that lost packets are not charged to it. */
const ORDER = 75;

/** Drops, duplicates, corrupts, reorders, delays and paces a pod's packets, per direction. */
export const impair: NetworkFunction = {
  name: "impair",
  kind: "transparent",
  summary: "loses, duplicates, corrupts, reorders, delays and paces single packets by rules",
  tables: ["weir_impairs", "weir_impair_peers"],
  state: ["weir_impair_use"],
};

/** Instance of a rule at a pod's port. It stays the same as long as the rule has the same id. */
export function impairInstance(port: string, direction: Direction, ruleId: string): string {
  return `impair:${port}:${direction}:${createHash("sha256").update(ruleId).digest("hex").slice(0, 8)}`;
}

/**
 * The items for one rule at a pod's port.
 * @param place position among the rules of its port and direction, from 0
 * @param fq whether the kernel has the fq qdisc, which holds packets
 */
export function impairItems(at: PodPort, rule: ImpairRule, place: number, fq: boolean): Omit<Fragment, "owner"> {
  const instance = impairInstance(at.id, rule.direction, rule.id);
  return {
    instances: [{ name: instance, function: "impair" }],
    attach: [
      {
        port: at.port,
        // a pod's egress enters its port, its ingress leaves by it
        direction: rule.direction === "egress" ? "ingress" : "egress",
        instance,
        order: ORDER + place / MAX_IMPAIRMENTS,
      },
    ],
    leases: rule.lease ? [{ instance, ...rule.lease }] : [],
    // concat: a rule may have tens of thousands of peer rows, which spread and flatMap copy one by one
    rows: () => [ruleRow(instance, rule, fq)].concat(peerRows(instance, rule)),
  };
}
