import { objectKey } from "../../model/names.ts";
import { ONE_OFF } from "../../model/one-off.ts";
import type { Random } from "../../model/testing/random.ts";
import { parseManifests } from "../../sources/manifests/index.ts";
import type { RandomChange } from "./change.ts";
import * as values from "./values.ts";

const NAMES = 4;
/** Behind these come addresses of the other pods. */
const FIRST_ADDRESS = 2;

/** Chooses values, and the names of what a change is about. */
export class Dice {
  readonly random: Random;
  constructor(random: Random) {
    this.random = random;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random(list.length)] as T;
  }
  once(outOf: number): boolean {
    return this.random(outOf) === 0;
  }
  name(): string {
    return `n${this.random(NAMES)}`;
  }
  namespace(): string {
    return this.pick(["x", "y"]);
  }
  uid(): string {
    return `u${this.random(3)}`;
  }
  podAddresses(): string[] {
    const host = FIRST_ADDRESS + this.random(6);
    return this.pick([[`10.244.0.${host}`], [`10.244.0.${host}`, `fd00:10:244::${host}`], [`10.9.0.${host}`]]);
  }
}

interface Written {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** The change that puts this object, read as an agent reads it; undefined if it would be refused. */
function put(written: Written): RandomChange | undefined {
  const value = parseManifests(JSON.stringify(written), "random", "agent").objects[0]?.object;
  return value && { of: "object", key: objectKey(written.kind, written.metadata), value };
}

const WEIR = "weir.dev/v1alpha1";
type Make = (dice: Dice, now: number) => Written;
const own = (dice: Dice) => ({ namespace: dice.namespace(), name: dice.name(), uid: dice.uid() });

const pod: Make = (dice) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    ...{ ...own(dice), labels: dice.pick(values.LABELS), annotations: dice.pick(values.ANNOTATIONS) },
    ...(dice.once(5) && { deletionTimestamp: "2026-01-01T00:00:00Z" }),
  } as never,
  ...({
    spec: {
      ...(dice.once(8) ? {} : { nodeName: `node-${dice.random(2)}` }),
      hostNetwork: dice.once(5),
      containers: [{ name: "c" }],
    },
    status: {
      phase: dice.pick(["Running", "Running", "Running", "Succeeded", "Failed"]),
      podIPs: dice.once(6) ? [] : dice.podAddresses().map((ip) => ({ ip })),
    },
  } as object),
});

const service: Make = (dice) => {
  const selector = dice.pick([{ app: "a" }, { app: "b" }, { tier: "x" }, {}]);
  const addresses = dice.pick([["10.96.0.1"], ["10.96.0.2", "fd00:96::2"], ["None"], []]);
  const spec = { selector, ...(addresses.length > 0 && { clusterIP: addresses[0], clusterIPs: addresses }) };
  const labels = dice.pick(values.LABELS);
  const metadata = { ...own(dice), labels, annotations: dice.pick(values.ANNOTATIONS) };
  return { apiVersion: "v1", kind: "Service", metadata, spec } as Written;
};

const slice: Make = (dice) => {
  const of = dice.once(6) ? {} : { "kubernetes.io/service-name": dice.name() };
  const family = dice.pick(["IPv4", "IPv4", "IPv6", "FQDN"]);
  const address = { IPv4: "10.9.0.", IPv6: "fd00:9::", FQDN: "host-" }[family];
  const endpoints = Array.from({ length: dice.random(4) }, () => ({ addresses: [`${address}${dice.random(9)}`] }));
  const metadata = { ...own(dice), labels: of };
  return { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata, addressType: family, endpoints };
};

const choice = (dice: Dice): object =>
  dice.pick([{ pod: dice.name() }, { selector: dice.pick(values.SELECTORS) }, { service: dice.name() }]);

const limit: Make = (dice) => {
  const rates = dice.pick([{ egress: "1M" }, { egress: "2M", ingress: "9M" }, { ingress: "100M" }]);
  return { apiVersion: WEIR, kind: "Limit", metadata: own(dice), spec: { ...choice(dice), ...rates } } as Written;
};

const peer = (dice: Dice): object =>
  dice.pick([
    { podSelector: dice.pick(values.SELECTORS) },
    { podSelector: dice.pick(values.SELECTORS), namespaceSelector: dice.pick(values.NAMESPACE_SELECTORS) },
    { cidr: "10.0.0.0/30" },
    { cidr: "10.244.0.0/16", except: ["10.244.0.0/29", "10.244.0.8/32"] },
    { cidr: "fd00::/16" },
    { service: { name: dice.name() } },
    { service: { name: dice.name(), namespace: dice.namespace() } },
  ]);

const impairment: Make = (dice, now) => {
  const effect = dice.pick([
    { loss: "1%" },
    { loss: { burst: { p: "1%", r: "20%" } }, seed: 7 },
    { loss: { exponential: { threshold: 300 } } },
    { delay: { latency: "5ms", jitter: "1ms" }, reorder: "10%" },
    { duplicate: "2%", corrupt: "0.1%" },
    { pace: "3M" },
  ]);
  const peers = Array.from({ length: dice.random(4) }, () => peer(dice));
  const ports = dice.once(3) ? { ports: [{ protocol: "TCP", port: 80 }] } : {};
  const match = dice.once(3) ? { match: { ...ports, ...(peers.length > 0 && { peers }) } } : {};
  const when = {
    ...(dice.once(2) && { until: new Date(now + 1000 * dice.random(60)).toISOString() }),
    ...(dice.once(4) && { lease: "5s" }),
    ...(dice.once(4) && { override: true }),
  };
  const direction = dice.pick(["both", "egress", "ingress"]);
  const metadata = { ...own(dice), labels: dice.once(4) ? { [ONE_OFF]: "true" } : {} };
  const spec = { ...choice(dice), direction, ...effect, ...match, ...when };
  return { apiVersion: WEIR, kind: "Impairment", metadata, spec } as Written;
};

const namespace: Make = (dice) => {
  const metadata = { name: dice.namespace(), labels: dice.pick(values.LABELS) };
  return { apiVersion: "v1", kind: "Namespace", metadata };
};

/** The node's own object too, as it may differ from what the agent has. */
const node: Make = (dice) => {
  const creationTimestamp = `2026-01-0${1 + dice.random(4)}T00:00:00Z`;
  const metadata = { name: `node-${dice.random(6)}`, ...(!dice.once(6) && { creationTimestamp }) };
  const podCIDRs = dice.pick([
    [dice.pick(values.CLAIMED)],
    [dice.pick(values.CLAIMED), dice.pick(values.CLAIMED6)],
    [dice.pick(values.CLAIMED6)],
    [],
  ]);
  const addresses = dice.pick(values.NODE_ADDRESSES).map((address) => ({ type: "InternalIP", address }));
  return { apiVersion: "v1", kind: "Node", metadata, spec: { podCIDRs }, status: { addresses } } as Written;
};

/** Kinds that an agent has nothing to do with, or reads no more than the names of. */
const other: Make = (dice) => {
  const metadata = own(dice);
  if (dice.once(2)) return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { a: "b" } } as Written;
  const template = { metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "c", image: "i" }] } };
  const spec = { selector: { matchLabels: { app: "a" } }, template };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata, spec } as Written;
};

/** Makers of objects, the more often the more of them. */
const MAKERS: readonly Make[] = [
  ...[pod, pod, pod, service, slice, limit, limit, impairment, impairment, impairment],
  ...[namespace, node, node, other],
];

/**
 * Changes of one object: it is written, deleted, or deleted and written anew at once. None if what was written would be
 * refused.
 */
export function objectChanges(dice: Dice, now: number): RandomChange[] {
  const change = put(dice.pick(MAKERS)(dice, now));
  if (!change) return [];
  const { of, key } = change;
  const gone = { of, key } as RandomChange;
  const how = dice.random(8);
  if (how < 2) return [gone];
  return how === 2 ? [gone, change] : [change];
}
