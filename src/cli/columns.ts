import type { KindName } from "../api/kinds.ts";
import type { Items } from "../api/schemas.ts";
import type { Topology } from "../api/topology.ts";
import { WAIT_ENDS } from "../model/waits.ts";
import { formatInterval, formatRate, formatShare } from "./format.ts";
import type { Column } from "./table.ts";

/** Item type by kind. */
export type Item<K extends KindName> = K extends keyof Items ? Items[K] : Topology;

/** How `weir get` shows a kind: its columns, and the order of its rows. */
export interface View<T> {
  columns: readonly Column<T>[];
  order: readonly ((item: T) => string)[];
  /** Name, for `weir get KIND NAME`. */
  name(item: T): string;
  node(item: T): string;
}

const dash = (text: string | null | undefined): string => (text ? text : "-");
/** Texts that are only shown completely with `-o wide`. */
const cropped = (text: string): string => (text.length > 40 ? `${text.slice(0, 39)}…` : text);
const node = { title: "NODE", value: (item: { node: string }) => item.node };
const owner = { title: "POD", value: (item: { owner: string | null }) => dash(item.owner) };
const namespace = { title: "NAMESPACE", value: (item: { namespace: string }) => item.namespace };

type Limit = Item<"limits">;
type Amount = "received" | "sent" | "dropped" | "queued" | "lost";

const amount = (name: Amount, wide = true): Column<Limit> => ({
  title: name.toUpperCase(),
  value: (limit) => limit[name]?.packets ?? "-",
  number: true,
  wide,
});
const longestWait = (name: "p50" | "p99", wide = true): Column<Limit> => ({
  title: `WAIT ${name.toUpperCase()}`,
  value: (limit) => formatWait(limit.wait[name], limit.sent?.packets ?? 0),
  number: true,
  wide,
});

/** A limit's packet counters. */
const limitCounts: readonly Column<Limit>[] = [
  amount("received"),
  amount("sent"),
  amount("dropped", false),
  { title: "MARKED", value: (limit) => limit.marked ?? "-", number: true },
  { title: "DELAYED", value: (limit) => limit.delayed ?? "-", number: true, wide: true },
  amount("queued"),
  amount("lost"),
  longestWait("p50"),
  longestWait("p99", false),
];

/** A waiting time, which is only known up to the upper bound of its class; the last class has none. */
function formatWait(end: number | null, packets: number): string {
  if (end !== null) return `< ${1000 * end} ms`;
  return packets > 0 ? `> ${WAIT_ENDS.at(-1)} ms` : "-";
}

export const views: { [K in KindName]: View<Item<K>> } = {
  pods: {
    name: (pod) => pod.name,
    node: (pod) => pod.node,
    order: [(pod) => pod.namespace, (pod) => pod.name],
    columns: [
      namespace,
      { title: "NAME", value: (pod) => pod.name },
      node,
      { title: "IPS", value: (pod) => dash(pod.ips.join(",")) },
      { title: "DEVICE", value: (pod) => dash(pod.device), wide: true },
      { title: "VERSION", value: (pod) => dash(pod.resourceVersion), wide: true },
      {
        title: "PROBLEMS",
        value: (pod) => dash(pod.problems.map((problem) => problem.message).join("; ")),
        colour: (pod) => (pod.problems.length > 0 ? "red" : undefined),
      },
    ],
  },
  limits: {
    name: (limit) => limit.pod,
    node: (limit) => limit.node,
    order: [
      (limit) => limit.namespace,
      (limit) => limit.pod,
      (limit) => limit.direction ?? "",
      (limit) => limit.source,
    ],
    columns: [
      namespace,
      { title: "POD", value: (limit) => limit.pod },
      { ...node, wide: true },
      { title: "DIRECTION", value: (limit) => dash(limit.direction) },
      { title: "CONFIGURED", value: (limit) => formatRate(limit.configured), number: true },
      {
        title: "EFFECTIVE",
        value: (limit) => formatRate(limit.effective),
        number: true,
        colour: (limit) => (limit.effective === limit.configured ? "green" : "red"),
      },
      { title: "MEASURED", value: (limit) => formatRate(limit.measured), number: true },
      ...limitCounts,
      {
        title: "AGO",
        value: (limit) => (limit.measuredAge === null ? "-" : `${Math.round(limit.measuredAge)} s`),
        number: true,
        wide: true,
      },
      { title: "SOURCE", value: (limit) => limit.source, wide: true },
      { title: "WRITTEN", value: (limit) => limit.written, wide: true },
      { title: "MECHANISM", value: (limit) => dash(limit.mechanism), wide: true },
      { title: "REASON", value: (limit) => dash(limit.reason) },
    ],
  },
  impairments: {
    name: (one) => one.pod,
    node: (one) => one.node,
    order: [(one) => one.namespace, (one) => one.pod, (one) => one.direction, (one) => one.source],
    columns: [
      namespace,
      { title: "POD", value: (one) => one.pod },
      { ...node, wide: true },
      { title: "DIRECTION", value: (one) => one.direction },
      { title: "CONFIGURED", value: (one) => one.configured },
      { title: "FOR", value: (one) => cropped(dash(one.match)) },
      { title: "MATCH", value: (one) => dash(one.match), wide: true },
      {
        title: "STATE",
        value: (one) => one.state,
        colour: (one) => (one.state === "active" ? "green" : one.state === "expired" ? undefined : "red"),
      },
      { title: "PACKETS", value: (one) => one.packets, number: true },
      { title: "LOST", value: (one) => one.lost, number: true },
      { title: "LOSS", value: (one) => formatShare(one.measuredLoss), number: true },
      { title: "95 %", value: (one) => formatInterval(one.lossLow, one.lossHigh), wide: true },
      { title: "DUPLICATED", value: (one) => one.duplicated, number: true, wide: true },
      { title: "CORRUPTED", value: (one) => one.corrupted, number: true, wide: true },
      { title: "DELAYED", value: (one) => one.delayed, number: true, wide: true },
      { title: "LEASE", value: (one) => (one.remaining === null ? "-" : `${one.remaining} s`) },
      { title: "SOURCE", value: (one) => one.source, wide: true },
      { title: "REASON", value: (one) => dash(one.reason) },
    ],
  },
  programs: {
    name: (one) => one.pod,
    node: (one) => one.node,
    order: [(one) => one.namespace, (one) => one.pod, (one) => one.direction, (one) => one.source],
    columns: [
      namespace,
      { title: "POD", value: (one) => one.pod },
      { ...node, wide: true },
      { title: "DIRECTION", value: (one) => one.direction },
      { title: "CONFIGURED", value: (one) => one.configured, wide: true },
      { title: "PROGRAM", value: (one) => one.program },
      { title: "EFFECTIVE", value: (one) => dash(one.effective ?? one.build) },
      {
        title: "STATE",
        value: (one) => one.state,
        colour: (one) => (one.state === "active" ? "green" : one.state === "compiling" ? undefined : "red"),
      },
      { title: "PACKETS", value: (one) => one.packets, number: true },
      { title: "BYTES", value: (one) => one.bytes, number: true, wide: true },
      { title: "DROPPED", value: (one) => one.dropped, number: true },
      { title: "OTHER", value: (one) => one.other, number: true, wide: true },
      { title: "BUILD", value: (one) => dash(one.build), wide: true },
      { title: "SOURCE", value: (one) => one.source, wide: true },
      { title: "REASON", value: (one) => dash(one.reason) },
    ],
  },
  ports: {
    name: (port) => port.name,
    node: (port) => port.node,
    order: [(port) => port.node, (port) => port.name],
    columns: [
      node,
      { title: "PORT", value: (port) => port.name },
      owner,
      { title: "FUNCTION", value: (port) => port.function, wide: true },
      { title: "STATE", value: (port) => port.state, colour: (port) => (port.state === "up" ? "green" : "red") },
      { title: "PEER", value: (port) => port.peer },
      { title: "DEVICE", value: (port) => dash(port.device), wide: true },
      { title: "RECEIVED", value: (port) => port.received.packets, number: true },
      { title: "SENT", value: (port) => port.sent.packets, number: true },
      { title: "RECEIVED BYTES", value: (port) => port.received.bytes, number: true, wide: true },
      { title: "SENT BYTES", value: (port) => port.sent.bytes, number: true, wide: true },
    ],
  },
  chains: {
    name: (chain) => chain.port,
    node: (chain) => chain.node,
    order: [(chain) => chain.node, (chain) => chain.port, (chain) => (chain.direction === "ingress" ? "0" : "1")],
    columns: [
      node,
      { title: "PORT", value: (chain) => chain.port },
      owner,
      { title: "DIRECTION", value: (chain) => chain.direction },
      { title: "CHAIN", value: (chain) => [...chain.hops.map((hop) => hop.instance), chain.end].join(" > ") },
    ],
  },
  drops: {
    name: (drop) => drop.reason,
    node: (drop) => drop.node,
    order: [(drop) => drop.node, (drop) => drop.port, (drop) => drop.direction ?? "", (drop) => drop.reason],
    columns: [
      node,
      { title: "PORT", value: (drop) => drop.port },
      owner,
      { title: "DIRECTION", value: (drop) => drop.direction ?? "-" },
      { title: "REASON", value: (drop) => drop.reason },
      { title: "PACKETS", value: (drop) => drop.packets, number: true },
      { title: "BYTES", value: (drop) => drop.bytes, number: true },
      { title: "MEANING", value: (drop) => drop.description },
    ],
  },
  topology: {
    name: ({ metadata }) => metadata.name,
    node: ({ metadata }) => metadata.name,
    order: [({ metadata }) => metadata.name],
    columns: [
      { title: "NODE", value: ({ metadata }) => metadata.name },
      ...(["links", "routes", "instances", "ports", "shapers", "leases", "rows"] as const).map((part) => ({
        title: part.toUpperCase(),
        value: ({ spec }: Topology) => spec[part].length,
        number: true,
      })),
    ],
  },
  problems: {
    name: (problem) => problem.object,
    node: (problem) => problem.node,
    order: [(problem) => problem.object, (problem) => problem.path ?? "", (problem) => problem.node],
    columns: [
      node,
      { title: "OBJECT", value: (problem) => problem.object },
      { title: "FIELD", value: (problem) => dash(problem.path) },
      { title: "PROBLEM", value: (problem) => problem.message },
    ],
  },
  objects: {
    name: (object) => object.name,
    node: (object) => object.node,
    order: [(object) => object.kind, (object) => object.namespace ?? "", (object) => object.name],
    columns: [
      { title: "NAMESPACE", value: (object) => dash(object.namespace) },
      { title: "KIND", value: (object) => object.kind },
      { title: "NAME", value: (object) => object.name },
      { title: "NODE", value: (object) => dash(object.node) },
    ],
  },
  endpoints: {
    name: (endpoint) => endpoint.name,
    node: (endpoint) => endpoint.node,
    order: [(endpoint) => endpoint.namespace, (endpoint) => endpoint.name],
    columns: [
      namespace,
      { title: "NAME", value: (endpoint) => endpoint.name },
      node,
      { title: "DEVICE", value: (endpoint) => endpoint.device },
      { title: "MAC", value: (endpoint) => endpoint.mac },
      { title: "IPS", value: (endpoint) => endpoint.ips.join(",") },
      { title: "UID", value: (endpoint) => endpoint.uid, wide: true },
      { title: "NETNS", value: (endpoint) => endpoint.netns, wide: true },
    ],
  },
};
