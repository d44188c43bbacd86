import { type ClusterState, type PodPort, podPorts } from "../../model/cluster.ts";
import type { Contribution, Instance, Row, Shaper } from "../../model/desired.ts";
import type { NetworkFunction } from "../../model/function.ts";
import type { LimitRule } from "../../model/limits.ts";
import { memo } from "../../model/memo.ts";
import { SHAPE } from "../../model/panel.ts";
import { shape } from "../../model/shape.ts";

/** Place in a chain among other functions. */
const ORDER = 100;
/** A pause that ends a measurement's window, ns; longer where a single packet takes long. */
const IDLE = 200_000_000;
const PACKETS_IDLE = 4;
const PACKET_BITS = 12_000;

interface Limit {
  instance: string;
  at: PodPort;
  rule: LimitRule;
}

/** Holds a pod's bandwidth, each direction, at exactly its rate. */
export const limit: NetworkFunction = {
  name: "limit",
  kind: "transparent",
  summary: "holds a pod's bandwidth at its rate, in each direction, shared by flows",
  tables: ["weir_limits"],
  state: ["weir_limit_use", "weir_limit_queue"],
  desired(state: ClusterState): Contribution {
    const limits = limitsOf(state);
    return {
      instances: limits.map((one) => instanceOf(one)),
      attach: limits.map((one) => attachment(one)),
      shapers: limits.map((one) => shaper(one, one.at.mtu ?? state.node.mtu)),
      rows: limits.map((one) => row(one, one.at.mtu ?? state.node.mtu)),
    };
  },
};

/** Instance of the limit at a pod's port in one direction. */
export const limitInstance = (port: string, direction: LimitRule["direction"]): string => `limit:${port}:${direction}`;

function limitsOf(state: ClusterState): Limit[] {
  const limits = podPorts(state).flatMap((at) => limitsAt(at, state.limits.get(at.key) ?? NONE));
  return limits.toSorted((a, b) => (a.instance < b.instance ? -1 : 1));
}

const NONE: readonly LimitRule[] = [];
const limitsAt = memo((at: PodPort, rules: readonly LimitRule[]): Limit[] =>
  rules.map((rule) => ({ instance: limitInstance(at.id, rule.direction), at, rule })),
);

const instanceOf = memo(({ instance }: Limit): Instance => ({ name: instance, function: "limit" }));

const attachment = memo(({ instance, at, rule }: Limit): NonNullable<Contribution["attach"]>[number] => ({
  port: at.port,
  // what a pod sends enters its port, what it receives leaves by it
  direction: rule.direction === "egress" ? "ingress" : "egress",
  instance,
  order: ORDER,
}));

const shaper = memo(({ instance, rule, at }: Limit, mtu: number): Shaper => {
  const sender = rule.direction === "egress" ? { sender: at.id } : {};
  return { owner: instance, device: SHAPE.device, rate: rule.rate, mtu, ...sender };
});

const row = memo(({ instance, rule }: Limit, mtu: number): Row => {
  const { set, leaves, byte, queue, least, deep } = shape({ rate: rule.rate, mtu });
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
      deep: rule.direction === "egress" ? deep : 0,
      split: set.split,
      idle: idle(rule.rate),
    },
  };
});

const idle = (rate: number): number => Math.max(IDLE, Math.round((PACKETS_IDLE * PACKET_BITS * 1e9) / rate));
