import type { Direction } from "../../model/directions.ts";
import type { ChainDirection, Fragment, Row } from "../../model/document.ts";
import type { NetworkFunction } from "../../model/function.ts";
import type { LimitRule } from "../../model/limits.ts";
import type { PodPort } from "../../model/node-context.ts";
import { SHAPE } from "../../model/panel.ts";
import { shape } from "../../model/shape.ts";

/** Order in a chain: last. */
const ORDER = 100;
/** A pause of this length ends a measurement window, ns; longer if a single packet takes long. */
const IDLE = 200_000_000;
const PACKETS_IDLE = 4;
const PACKET_BITS = 12_000;

/** Limits a pod's bandwidth per direction. */
export const limit: NetworkFunction = {
  name: "limit",
  kind: "transparent",
  summary: "holds a pod's bandwidth at its rate, in each direction, shared by flows",
  tables: ["weir_limits"],
  state: ["weir_limit_use", "weir_limit_queue"],
};

/** Instance of the limit at a pod's port, per direction. */
export const limitInstance = (port: string, direction: Direction): string => `limit:${port}:${direction}`;

/** The items for a limit at a pod's port. @param mtu of the pod's packets, bytes at layer 3 */
export function limitItems(at: PodPort, rule: LimitRule, mtu: number): Omit<Fragment, "owner"> {
  const { direction, rate } = rule;
  const instance = limitInstance(at.id, direction);
  const sender = direction === "egress" ? { sender: at.id } : {};
  return {
    instances: [{ name: instance, function: "limit" }],
    attach: [{ port: at.port, direction: chainOf(direction), instance, order: ORDER }],
    shapers: [{ instance, device: SHAPE.device, rate, mtu, ...sender }],
    rows: () => [row(instance, rule, mtu)],
  };
}

/** A pod's egress enters its port, its ingress leaves by it. */
const chainOf = (direction: Direction): ChainDirection => (direction === "egress" ? "ingress" : "egress");

function row(instance: string, { rate, direction }: LimitRule, mtu: number): Row {
  const { set, leaves, byte, queue, least, deep } = shape({ rate, mtu });
  return {
    table: "weir_limits",
    key: { instance: { instance } },
    value: {
      device: { device: SHAPE.device },
      block: { shaper: instance },
      set: set.place,
      leaves,
      byte,
      queue,
      least,
      deep: direction === "egress" ? deep : 0,
      split: set.split,
      idle: idle(rate),
    },
  };
}

const idle = (rate: number): number => Math.max(IDLE, Math.round((PACKETS_IDLE * PACKET_BITS * 1e9) / rate));
