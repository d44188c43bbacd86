import type { ClusterState, Endpoint } from "../../model/cluster.ts";
import type { Contribution, Row, Shaper } from "../../model/desired.ts";
import type { NetworkFunction } from "../../model/function.ts";
import type { LimitRule } from "../../model/limits.ts";
import { SHAPE } from "../../model/panel.ts";
import { SMALL_BYTES } from "../../model/shape.ts";

/** Place in a chain among other functions. */
const ORDER = 100;
/** A pause that ends a measurement's window, ns; longer where a single packet takes long. */
const IDLE = 200_000_000;
const PACKETS_IDLE = 4;
const PACKET_BITS = 12_000;
/** `WEIR_LIMIT_DETACH` of limit.bpf.c. */
const DETACH = 1;

interface Limit {
  instance: string;
  endpoint: Endpoint;
  rule: LimitRule;
}

/** Holds a pod's bandwidth, each direction, at exactly its rate. */
export const limit: NetworkFunction = {
  name: "limit",
  kind: "transparent",
  summary: "holds a pod's bandwidth at its rate, in each direction, small packets first",
  tables: ["weir_limits"],
  state: ["weir_limit_use"],
  desired(state: ClusterState): Contribution {
    const limits = limitsOf(state);
    return {
      instances: limits.map(({ instance }) => ({ name: instance, function: "limit" })),
      attach: limits.map(({ instance, endpoint, rule }) => ({
        port: `router:${endpoint.device}`,
        // what a pod sends enters its port, what it receives leaves by it
        direction: rule.direction === "egress" ? "ingress" : "egress",
        instance,
        order: ORDER,
      })),
      shapers: limits.map((one) => shaper(one, state.node.mtu)),
      rows: limits.map(row),
    };
  },
};

/** Instance of the limit of a pod's device in one direction. */
export const limitInstance = (device: string, direction: LimitRule["direction"]): string =>
  `limit:${device}:${direction}`;

function limitsOf(state: ClusterState): Limit[] {
  const limits = state.endpoints.flatMap((endpoint) => {
    const rules = state.limits.get(`${endpoint.namespace}/${endpoint.name}`) ?? [];
    return rules.map((rule) => ({ instance: limitInstance(endpoint.device, rule.direction), endpoint, rule }));
  });
  return limits.toSorted((a, b) => (a.instance < b.instance ? -1 : 1));
}

function shaper({ instance, rule, endpoint }: Limit, mtu: number): Shaper {
  const sender = rule.direction === "egress" ? { sender: endpoint.device } : {};
  return { owner: instance, device: SHAPE.device, rate: rule.rate, mtu, ...sender };
}

function row({ instance, rule }: Limit): Row {
  return {
    table: "weir_limits",
    key: { instance: { instance } },
    value: {
      device: { device: SHAPE.device },
      small_class: { class: instance, leaf: "small" },
      bulk_class: { class: instance, leaf: "bulk" },
      small_bytes: SMALL_BYTES,
      flags: rule.direction === "ingress" ? DETACH : 0,
      idle: idle(rule.rate),
    },
  };
}

const idle = (rate: number): number => Math.max(IDLE, Math.round((PACKETS_IDLE * PACKET_BITS * 1e9) / rate));
