import type {
  Change,
  Delta,
  Instance,
  InstanceLease,
  Link,
  Port,
  Route,
  Row,
  RowValue,
  Shaper,
} from "../../model/document.ts";
import { panelLinks } from "../../model/panel.ts";
import { rowId } from "../../model/row-id.ts";
import type { Random } from "../../model/testing/random.ts";

/** The wanted items by kind and id. Each item has an owner of its own. */
export interface Document {
  instances: Map<string, Instance>;
  ports: Map<string, Port>;
  links: Map<string, Link>;
  routes: Map<string, Route>;
  shapers: Map<string, Shaper>;
  leases: Map<string, InstanceLease>;
  rows: Map<string, Row>;
}
export type Kind = keyof Document;

/** Maps with their sizes: one with too little room for all wanted rows, and one with enough. */
export const TABLES = { weir_t_small: 5, weir_t_large: 1000 } as const;
/** Devices that are created and removed by others. */
export const FOREIGN = ["veth0", "veth1"] as const;
const PODS = [0, 1, 2, 3].map((n) => `weir0000000000${n}`);
const INSTANCES = [0, 1, 2, 3, 4, 5].map((n) => `i${n}`);
const PORTS = [0, 1, 2, 3, 4].map((n) => `p${n}`);

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;
const some = <T>(random: Random, from: readonly T[]): T[] => from.filter(() => random(3) === 0);
const anyDevice = (random: Random): string => pick(random, [...PODS, ...FOREIGN]);

export const ownerOf = (kind: Kind, id: string): string => `${kind}/${id}`;

export function emptyDocument(): Document {
  const kinds = ["instances", "ports", "links", "routes", "shapers", "leases", "rows"] as const;
  const document = Object.fromEntries(kinds.map((kind) => [kind, new Map()])) as unknown as Document;
  for (const link of panelLinks()) document.links.set(link.device, link);
  return document;
}

const MAKE: {
  readonly [K in Kind]: (random: Random) => [string, Document[K] extends Map<string, infer T> ? T : never];
} = {
  instances(random) {
    const name = pick(random, [...INSTANCES, `i${"x".repeat(60)}`]);
    const program = name === "i5" ? pick(random, ["b1", "b2"]) : undefined;
    return [name, { name, function: "t", program }];
  },
  ports(random) {
    const name = pick(random, PORTS);
    const device = anyDevice(random);
    const peers: Port["peer"][] = [
      { kind: "none" },
      { kind: "device", device, delivery: "peer" },
      { kind: "port", port: `i0:${pick(random, PORTS)}` },
    ];
    const chains = { ingress: some(random, INSTANCES), egress: some(random, INSTANCES) };
    const peer = pick(random, peers);
    const entry = random(2) === 0 ? device : undefined;
    return [`i0:${name}`, { instance: "i0", name, peer, entry, ...chains }];
  },
  links(random) {
    const device = pick(random, PODS);
    const mtu = pick(random, [1400, 1500]);
    const netns = `/run/netns/${pick(random, ["a", "b"])}`;
    const macs = { mac: "02:00:00:00:00:02", gatewayMac: "02:00:00:00:00:01" };
    return [device, { kind: "pod", device, netns, ifname: "eth0", ...macs, ips: ["10.0.0.1"], gateways: [], mtu }];
  },
  routes(random) {
    const cidr = `10.${random(4)}.0.0/16`;
    return [cidr, { cidr, device: anyDevice(random), ...(random(2) === 0 && { source: "192.0.2.1" }) }];
  },
  shapers(random) {
    const instance = pick(random, INSTANCES);
    const rate = pick(random, [1e6, 100e6, 1e9]);
    const sender = random(2) === 0 ? pick(random, PODS) : undefined;
    return [instance, { instance, device: "weir_shape0", rate, mtu: 1500, sender }];
  },
  leases(random) {
    const instance = pick(random, INSTANCES);
    return [instance, { instance, seconds: pick(random, [30, 60]) }];
  },
  rows(random) {
    const references: RowValue[] = [
      random(100),
      { port: `i0:${pick(random, PORTS)}` },
      { instance: pick(random, INSTANCES) },
      { shaper: pick(random, INSTANCES) },
      { device: anyDevice(random) },
      "x".repeat(600),
    ];
    const table = pick(random, Object.keys(TABLES));
    const key: Row["key"] =
      random(3) === 0 ? { instance: { instance: pick(random, INSTANCES) } } : { number: random(8) };
    const row: Row = { table, key, value: { value: pick(random, references) } };
    return [rowId(row), row];
  },
};
const KINDS = Object.keys(MAKE) as Kind[];
/** Rows are the most frequent kind. */
const OFTEN: readonly Kind[] = [...KINDS, "rows", "rows", "rows", "ports", "ports"];

/** Changes a document at random. Returns the change. */
export function change(document: Document, random: Random): Delta {
  const delta = Object.fromEntries(KINDS.map((kind) => [kind, []])) as unknown as Record<Kind, Change<unknown>[]>;
  const touched = new Set<string>();
  for (let count = 1 + random(4); count > 0; count--) {
    const kind = pick(random, OFTEN);
    const items = document[kind] as Map<string, unknown>;
    const [id, item] = MAKE[kind](random);
    if (touched.has(`${kind} ${id}`)) continue;
    touched.add(`${kind} ${id}`);
    const before = items.get(id);
    const isGone = before !== undefined && random(2) === 0;
    if (isGone) items.delete(id);
    else items.set(id, item);
    delta[kind].push({ owner: ownerOf(kind, id), item: isGone ? before : item, gone: isGone });
  }
  return delta as unknown as Delta;
}

/** All items of a document as one change. */
export function wholeOf(document: Document): Delta {
  const all = KINDS.map((kind) => [
    kind,
    [...(document[kind] as Map<string, unknown>)].map(([id, item]) => ({
      owner: ownerOf(kind, id),
      item,
      gone: false,
    })),
  ]);
  return Object.fromEntries(all) as unknown as Delta;
}
