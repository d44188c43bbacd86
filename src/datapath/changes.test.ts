import { expect, test } from "vitest";
import type { NetworkNews } from "../kernel/index.ts";
import { type Port, portName, type RowFields, type RowValue } from "../model/document.ts";
import { type Random, randomOf } from "../model/testing/random.ts";
import type { Datapath } from "./datapath.ts";
import { blockOf, readClasses } from "./shaper-classes.ts";
import { MOST_SPARES } from "./spare-shapers.ts";
import { Memory } from "./testing/memory.ts";
import { change, type Document, emptyDocument, FOREIGN, ownerOf, TABLES, wholeOf } from "./testing/random-document.ts";

const DELTAS = 10_000;
const CHECK_EVERY = 50;
/** Longer than any back-off delay, ms. */
const LATER = 60_000;

/** Operations that the in-memory kernel can be told to refuse. */
const REFUSED = [
  "make",
  "fit",
  "activate",
  "remove",
  "attach",
  "detach",
  "load",
  "commit",
  "class",
  "route",
  "segments",
];

function refuseSome(memory: Memory, random: Random): void {
  const what = REFUSED[random(REFUSED.length * 2)];
  const every = 1 + random(3);
  let count = 0;
  memory.refuses = what === undefined ? () => false : (one) => one.startsWith(what) && count++ % every === 0;
}

/** Creates or removes a device that is not Weir's; returns the kernel's notification. */
function moveForeign({ network }: Memory, random: Random): NetworkNews {
  const name = FOREIGN[random(2)] as string;
  const device = network.device(name);
  if (!device) return { kind: "link", device: network.add(name), gone: false };
  network.lose(name);
  return { kind: "link", device, gone: true };
}

/** Owners of items that cannot be in force, with the reason. */
function impossible(document: Document, memory: Memory): Map<string, string> {
  const out = new Map<string, string>();
  const isThere = (device: string) => memory.network.byName.has(device);
  for (const name of document.instances.keys()) if (name.length > 50) out.set(ownerOf("instances", name), "encode");
  for (const [cidr, { device }] of document.routes) {
    if (!isThere(device)) out.set(ownerOf("routes", cidr), "no-device");
  }
  for (const [id, port] of document.ports) {
    const fault = portFault(port, document, isThere);
    if (fault) out.set(ownerOf("ports", id), fault);
  }
  for (const [id, { key, value }] of document.rows) {
    const fault = rowFault(key, document, isThere) ?? rowFault(value, document, isThere);
    if (fault) out.set(ownerOf("rows", id), fault);
  }
  return out;
}

function portFault({ instance, peer, entry }: Port, document: Document, isThere: (device: string) => boolean) {
  if (!document.instances.has(instance)) return "missing";
  if (peer.kind === "port" && !document.ports.has(peer.port)) return "no-port";
  const devices = [...("device" in peer ? [peer.device] : []), ...(entry ? [entry] : [])];
  return devices.some((device) => !isThere(device)) ? "no-device" : undefined;
}

function rowFault(fields: RowFields, document: Document, isThere: (device: string) => boolean): string | undefined {
  const [value] = Object.values(fields);
  if (value === "x".repeat(600)) return "encode";
  const { port, instance, shaper, device } = value as Record<string, string | undefined>;
  if (port !== undefined && !document.ports.has(port)) return "missing";
  if (instance !== undefined && !document.instances.has(instance)) return "missing";
  if (shaper !== undefined && !document.shapers.has(shaper)) return "missing";
  return device !== undefined && !isThere(device) ? "no-device" : undefined;
}

/** Replaces names by their ids. */
function resolved(value: RowValue | undefined, { names, network }: Memory): unknown {
  const { port, instance, shaper, device } = (value ?? {}) as Record<string, string | undefined>;
  if (port !== undefined) return names.find("port", port);
  if (instance !== undefined) return names.find("instance", instance);
  if (shaper !== undefined) return blockOf(names.find("shaper", shaper) ?? -1);
  return device === undefined ? value : (network.device(device)?.ifindex ?? 0);
}

/** Compares a map's rows with the wanted ones, without those that have no room. */
function compareRows(name: string, document: Document, memory: Memory, faults: ReadonlyMap<string, string>): string[] {
  const table = memory.table(name);
  const rows = new Map(
    table
      .entries()
      .map(([key, value]) => [
        String(table.key.decode(key)["number"] ?? JSON.stringify(table.key.decode(key))),
        table.value.decode(value)["value"],
      ]),
  );
  const absent: string[] = [];
  for (const [id, row] of document.rows) {
    if (row.table !== name) continue;
    const [part] = Object.values(row.key);
    const key = typeof part === "number" ? String(part) : JSON.stringify({ instance: resolved(part, memory) });
    const isWritable = [undefined, "no-device"].includes(faults.get(ownerOf("rows", id)));
    if (isWritable && !rows.has(key)) absent.push(ownerOf("rows", id));
    if (isWritable && rows.has(key)) expect([id, rows.get(key)]).toEqual([id, resolved(row.value["value"], memory)]);
    rows.delete(key); // a row that cannot be written now may have been left unchanged
  }
  expect([...rows]).toEqual([]);
  if (absent.length > 0) expect(table.entries()).toHaveLength(table.maxEntries);
  return absent;
}

/** Compares devices, routes, programs and classes with the wanted ones. */
function compareNetwork(document: Document, { network, attacher, names, programs }: Memory): void {
  const isForeign = (name: string) => (FOREIGN as readonly string[]).includes(name);
  const devices = [...network.byName.values()].filter(({ name }) => !isForeign(name) && !name.startsWith("weir_"));
  expect(devices.map(({ name, up, mtu }) => [name, up, mtu]).toSorted()).toEqual(
    [...document.links.values()]
      .flatMap((link) => (link.kind === "pod" ? [[link.device, true, link.mtu]] : []))
      .toSorted(),
  );
  expect([...network.byCidr.keys()].toSorted()).toEqual(
    [...document.routes.values()].flatMap(({ cidr, device }) => (network.device(device) ? [cidr] : [])).toSorted(),
  );
  const entries = [...document.ports.values()].flatMap(({ entry }) => (entry && network.device(entry) ? [entry] : []));
  const pins = [...attacher.attached.keys()].filter((pin) => !pin.startsWith("weir_"));
  expect(pins.filter((pin) => network.device(pin)).toSorted()).toEqual([...new Set(entries)].toSorted());
  const ids = [...document.shapers.keys()].map((name) => names.find("shaper", name) ?? -1);
  const classes = readClasses(network.classes());
  const spare = [...classes].flatMap(([id, { draining }]) => (draining && !ids.includes(id) ? [id] : []));
  expect(spare.length).toBeLessThanOrEqual(ids.length === 0 ? 0 : MOST_SPARES);
  expect([...classes.keys()].filter((id) => !spare.includes(id)).toSorted()).toEqual(ids.toSorted());
  const own = [...document.instances.values()].flatMap(({ name, program }) => (program ? [[name, program]] : []));
  expect([...programs]).toEqual(own);
}

/** Compares the chains of ports with the wanted ones. */
function comparePorts(document: Document, { ports, names }: Memory): void {
  expect([...ports.inForce.keys()].filter((name) => !document.ports.has(name))).toEqual([]);
  for (const [name, port] of document.ports) {
    if (!document.instances.has(port.instance)) continue;
    const rows = ports.inForce.get(name);
    const chain = (instances: readonly string[]) => instances.filter((one) => document.instances.has(one));
    const wanted = [...chain(port.ingress), port.instance, ...chain(port.egress)];
    const hops = [...(rows?.ingress ?? []), ...(rows?.egress ?? [])];
    const calls = hops.filter(({ op }) => op === "call").map(({ instance }) => instance);
    expect([name, rows?.id, ...calls]).toEqual([
      ...[name, names.find("port", portName(port))],
      ...wanted.map((one) => names.find("instance", one)),
    ]);
  }
}

/**
 * An item that refers to something missing has an outcome, unless it has been in force since before that was removed.
 */
function compareOutcomes(datapath: Datapath, faults: ReadonlyMap<string, string>): void {
  const told = new Map(datapath.outcomes.all().map(({ owner, code }) => [owner, code as string]));
  const isRowOfNobody = (owner: string) => owner.startsWith("rows/") && faults.get(owner) === "missing";
  for (const [owner] of faults) {
    if (isRowOfNobody(owner) && ["no-device", undefined].includes(told.get(owner))) told.set(owner, "missing");
  }
  expect([...told].toSorted()).toEqual([...faults].toSorted());
}

/**
 * Retries everything with nothing refused, then compares all state. Returns the items that cannot be in force, with the
 * reason.
 */
function compare(document: Document, memory: Memory, datapath: Datapath): Map<string, string> {
  memory.refuses = () => false;
  for (let turn = 0; turn < 4; turn++, memory.now += LATER) datapath.apply();
  const faults = impossible(document, memory);
  compareNetwork(document, memory);
  comparePorts(document, memory);
  for (const name of Object.keys(TABLES)) {
    for (const owner of compareRows(name, document, memory, faults)) faults.set(owner, "full");
  }
  compareOutcomes(datapath, faults);
  for (const kind of ["port", "instance", "shaper"] as const) expect(memory.names.unheld(kind, true)).toEqual([]);
  return faults;
}

test("after random changes, all that can be in force is, and each failure is an outcome of its owner", () => {
  const random = randomOf(7);
  const document = emptyDocument();
  const memory = new Memory({ tables: TABLES, functions: ["t"] });
  let datapath = memory.datapath();
  datapath.apply(wholeOf(document), { whole: true });
  for (let count = 1; count <= DELTAS; count++) {
    refuseSome(memory, random);
    if (random(10) === 0) datapath.noticed(moveForeign(memory, random));
    memory.now += random(500);
    datapath.apply(change(document, random));
    if (random(20) === 0) datapath.scrub();
    if (count % CHECK_EVERY > 0) continue;
    const faults = compare(document, memory, datapath);
    if (random(3) > 0) continue;
    datapath = memory.datapath();
    const { writes } = datapath.apply(wholeOf(document), { whole: true });
    if (faults.size === 0) expect(writes).toBe(0);
  }
});
