import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ethernet, ip, udp } from "../../test/packets.ts";
import { RingBuffer } from "../kernel/index.ts";
import { endIperf, serveIperf } from "../kernel/testing/iperf-server.ts";
import type { DesiredState, Port } from "../model/desired.ts";
import { attachAll } from "./attach.ts";
import { compile, type Ids } from "./compile.ts";
import { Panel } from "./panel.ts";
import { Bench, compileObjects, devicePort, document } from "./testing/bench.ts";

/** Bytes of a ping: what tells the flows of the test function apart. */
const PING = 98;
const VERDICTS = [
  "next",
  "forward",
  "clone",
  "stack",
  "up",
  "drop",
  "split",
  "shape",
  "recirculate",
  "flow",
  "hold",
] as const;
type Act = { verdict: (typeof VERDICTS)[number]; port?: string; arg?: number; extra?: string; device?: string };

let bench: Bench;
let panel: Panel;
const pidfile = (): string => join(bench.directory, "iperf.pid");
const objects = (abi: number) => join(bench.directory, `objects-${abi}`);
const open = (abi = 1) =>
  bench.inNode(() => Panel.open({ root: join(bench.bpffs, "t"), objects: objects(abi), functions: ["act"] }));

beforeAll(() => {
  bench = new Bench();
  for (const abi of [1, 2, 3]) {
    mkdirSync(objects(abi));
    compileObjects(objects(abi), abi);
  }
  panel = open();
});
afterAll(() => {
  endIperf(pidfile());
  panel?.close();
  bench?.close();
});

function ids(of = panel): Ids {
  return {
    port: (name) => of.names.id("port", name),
    instance: (name) => of.names.id("instance", name),
    slot: (name) => of.names.id("function", name),
    device: (name) => bench.ifindex(name),
  };
}

/** Puts a topology in force; returns rows written. */
function apply(state: DesiredState, of = panel): number {
  const known = ids(of);
  const before = of.writes;
  const generation = compile(state, known);
  expect(generation.problems).toEqual([]);
  const config = {
    events: true,
    recirc: known.device("weir_recirc0") ?? 0,
    split: known.device("weir_split0") ?? 0,
    abi: of.abi,
  };
  of.generations.apply({ ...generation, config });
  const wanted = new Map<string, "entry" | "resume">(state.resume.map((device) => [device, "resume"]));
  for (const port of state.ports) if (port.entry) wanted.set(port.entry, "entry");
  expect(bench.inNode(() => attachAll(of, wanted, known))).toEqual([]);
  return of.writes - before;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function act(instance: string, { verdict, port, arg = 0, extra, device }: Act): void {
  const table = panel.table("weir_act_rows");
  const row = {
    verdict: VERDICTS.indexOf(verdict),
    arg: port === undefined ? arg : ids().port(port),
    extra: device === undefined ? (extra === undefined ? 0 : ids().port(extra)) : bench.ifindex(device),
    extra2: 0,
  };
  table.write([[u32(ids().instance(instance)), table.value.encode(row)]]);
}

function runs(instance: string): { runs: number; segments: number; mark: number } {
  const table = panel.table("weir_act_runs");
  const row = table.lookup(u32(ids().instance(instance)));
  const { runs: count = 0, segments = 0, mark = 0 } = row ? (table.value.decode(row) as Record<string, bigint>) : {};
  return { runs: Number(count), segments: Number(segments), mark: Number(mark) };
}

/** Packets dropped for a reason at a port since the test began. */
function drops(port: string, reason: number): number {
  const table = panel.table("weir_drops");
  const row = table.lookup(table.key.encode({ port: ids().port(port), reason }));
  if (!row) return 0;
  let packets = 0;
  for (let at = 0; at < row.length; at += 16) packets += Number(row.readBigUInt64LE(at));
  return packets;
}

/** Pods a and b, each behind its own instance that forwards to the other's port. */
function pair(chains: { in?: string[]; out?: string[] } = {}, more: Port[] = []): DesiredState {
  act("left", { verdict: "forward", port: "right:b" });
  act("right", { verdict: "forward", port: "left:a" });
  const a = devicePort("left", "a", "a", { ingress: chains.in ?? [] });
  const b = devicePort("right", "b", "b", { egress: chains.out ?? [] });
  return document([a, b, ...more]);
}

beforeEach(() => {
  const table = panel.table("weir_act_runs");
  table.remove(table.entries().map(([key]) => key));
});

describe("verdicts", () => {
  test("forward and next: every function of both chains sees each packet once", () => {
    const chain = ["t1", "t2", "t3"];
    for (const name of chain) act(name, { verdict: "next" });
    apply(pair({ in: ["t1", "t2"], out: ["t3"] }));
    expect(bench.ping("a", "b", 3)).toBe(3);
    expect(chain.map((name) => runs(name).runs)).toEqual([3, 3, 3]);
    expect(runs("left").runs).toBe(3);
  });

  test("a path of 30 calls is recirculated and arrives", () => {
    const chain = (prefix: string) => [1, 2, 3, 4, 5, 6, 7].map((n) => `${prefix}${n}`);
    for (const prefix of ["p", "q", "r", "s"]) for (const name of chain(prefix)) act(name, { verdict: "next" });
    const middle: Port[] = [
      { instance: "left", name: "on", peer: { kind: "port", port: "mid:in" }, ingress: [], egress: chain("q") },
      { instance: "mid", name: "in", peer: { kind: "port", port: "left:on" }, ingress: chain("r"), egress: [] },
    ];
    const state = pair({ in: chain("p"), out: chain("s") }, middle);
    act("left", { verdict: "forward", port: "left:on" });
    act("mid", { verdict: "forward", port: "right:b" });
    apply(state);
    expect(bench.ping("a", "b", 3)).toBe(3);
    for (const name of ["p1", "q7", "r7", "s1", "s7"]) expect([name, runs(name).runs]).toEqual([name, 3]);
  });

  test("a packet that circles is dropped as a loop", () => {
    apply(pair({ in: ["t1"] }));
    act("t1", { verdict: "recirculate", arg: ids().port("left:a") * 16 });
    const before = drops("left:a", 4);
    expect(bench.ping("a", "b", 2)).toBe(0);
    expect(drops("left:a", 4) - before).toBe(2);
    expect(runs("t1").runs).toBe(2 * 16);
  });

  test("clone: the copy takes the other port's egress chain, the original goes on", () => {
    act("t1", { verdict: "next" });
    act("third", { verdict: "drop", arg: 1 });
    const third = devicePort("third", "c", "c", { egress: ["t1"] });
    const state = pair({}, [third]);
    act("left", { verdict: "clone", port: "third:c", extra: "right:b" });
    apply(state);
    expect(bench.ping("a", "b", 3)).toBe(3);
    expect(runs("t1").runs).toBe(3);
  });

  test("shape: the packet comes back to the same hop, marked as resumed, and leaves without a mark", () => {
    act("t1", { verdict: "shape", device: "weir_shape0" });
    act("t2", { verdict: "next" });
    apply(pair({ in: ["t1", "t2"] }));
    expect(bench.ping("a", "b", 3)).toBe(3);
    expect(runs("t1").runs).toBe(6);
    expect(runs("t2")).toMatchObject({ runs: 3, mark: 0 });
  });

  test("split: GSO packets come back as segments", async () => {
    act("t1", { verdict: "split" });
    act("t2", { verdict: "next" });
    apply(pair({ in: ["t1", "t2"] }));
    await serveIperf((...command) => bench.run(bench.pod("b"), ...command), pidfile());
    bench.run(bench.pod("a"), "iperf3", "-c", "10.9.0.2", "-n", "20M", "--connect-timeout", "2000");
    bench.quiet();
    const seen = runs("t2");
    expect(seen.runs).toBeGreaterThan(10000);
    expect(seen.segments).toBe(seen.runs);
  });

  test("drop: counted by port and reason, and an event with the packet's first bytes", () => {
    act("t1", { verdict: "drop", arg: 15 });
    apply(pair({ in: ["t1"] }));
    const events: Buffer[] = [];
    const ring = RingBuffer.open(panel.table("weir_events").map, (data) => {
      if (data.readUInt32LE(12) === 15) events.push(Buffer.from(data));
    });
    ring.poll();
    events.length = 0;
    const before = drops("left:a", 15);
    expect(bench.ping("a", "b", 2)).toBe(0);
    expect(drops("left:a", 15) - before).toBe(2);
    ring.poll();
    ring.close();
    expect(events).toHaveLength(2);
    expect(events[0]?.readUInt32LE(12)).toBe(15);
    expect(events[0]?.subarray(24, 30).toString("hex")).toBe("020000000002");
  });

  test("up: userspace has the whole packet, within the port's rate", () => {
    act("t1", { verdict: "up", arg: 42 });
    apply(pair({ in: ["t1"] }));
    const ups: Buffer[] = [];
    const ring = RingBuffer.open(panel.table("weir_upcalls").map, (data) => ups.push(Buffer.from(data)));
    bench.ping("a", "b", 2);
    ring.poll();
    ring.close();
    expect(ups.map((up) => [up.readUInt32LE(12), up.readUInt32LE(20)])).toEqual([
      [42, 98],
      [42, 98],
    ]);
  });

  test("stack: the packet stays with the device that it came from", () => {
    bench.ip("addr", "add", "10.9.0.77/32", "dev", "va");
    bench.ip("route", "add", "10.9.0.1/32", "dev", "va");
    const state = pair();
    act("left", { verdict: "stack" });
    apply(state);
    bench.run(
      bench.pod("a"),
      "ip",
      "neigh",
      "replace",
      "10.9.0.77",
      "lladdr",
      JSON.parse(bench.ip("-j", "link", "show", "va"))[0].address,
      "dev",
      "eth0",
    );
    const out = bench.run(bench.pod("a"), "ping", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "1", "10.9.0.77");
    expect(out).toContain("2 received");
  });

  test("flow: a flow has a row each way, and a taken tuple is refused", () => {
    const flows = panel.table("weir_flows");
    const state = pair();
    act("left", { verdict: "flow", arg: 5, extra: "right:b" });
    apply(state);
    expect(bench.ping("a", "b", 3)).toBe(3);
    const rows = flows.entries().map(([, value]) => flows.value.decode(value));
    expect(rows.map((row) => [row["data"], row["origin"], Number(row["packets"])]).sort()).toEqual([
      [7, 0, 0],
      [7, 1, 2],
    ]);
  });
});

test("flow: an expired flow gives way to a new one", () => {
  const flows = panel.table("weir_flows");
  const state = pair();
  act("left", { verdict: "flow", arg: 6, extra: "right:b" });
  apply(state);
  const own = () => {
    const rows = flows
      .entries()
      .map(([key, value]) => ({ key, of: flows.key.decode(key), row: flows.value.decode(value) }));
    return rows.filter(({ of }) => of["zone"] === 6 && (of["src_port"] === PING || of["dst_port"] === PING));
  };
  const counts = () => own().map(({ row }) => Number(row["packets"]));
  expect(bench.ping("a", "b", 3)).toBe(3);
  expect(counts().sort()).toEqual([0, 2]);
  flows.write(own().map(({ key, row }) => [key, flows.value.encode({ ...row, expires: 1 })]));
  expect(bench.ping("a", "b", 2)).toBe(2);
  expect(counts().sort()).toEqual([0, 1]);
});

/** A tap on va, without its programs: its packets are given to it by test runs, which have a socket. */
describe("a packet ends without a word to the TCP that sends it", () => {
  const SHOT = 2;
  const REDIRECT = 7;
  const GONE = 0x08000000;
  const LINK = { src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" };
  const PACKET = ethernet(LINK, ip({ src: "10.9.0.1", dst: "10.9.0.2" }, udp({ sport: 1, dport: 2 })));
  const end = (how: Act, program: "tapEgress" | "tapIngress") => {
    act("t1", how);
    const back: Port = {
      instance: "tap",
      name: "a",
      peer: { kind: "back", device: "va" },
      entry: "va",
      ingress: ["t1"],
      egress: ["t1"],
    };
    apply(document([back]));
    const ctx = { ifindex: bench.ifindex("va") ?? 0 };
    return bench.inNode(() => panel.programs[program].testRun({ data: PACKET, ctx }));
  };

  const ways: [string, Act][] = [
    ["dropped", { verdict: "drop", arg: 15 }],
    ["held as a copy", { verdict: "hold", device: "weir_shape0" }],
    ["given to userspace", { verdict: "up", arg: 1 }],
  ];
  test.each(ways)("%s: on a device's egress it ends behind the recirculation pair", (_how, how) => {
    const { retval, ctx } = end(how, "tapEgress");
    expect([retval, ctx.mark]).toEqual([REDIRECT, GONE]);
  });
  test.each(ways)("%s: elsewhere it ends at once", (_how, how) => {
    expect(end(how, "tapIngress").retval).toBe(SHOT);
  });
});

test("a port without a peer drops, with a reason", () => {
  const state = pair({}, [{ instance: "right", name: "down", peer: { kind: "none" }, ingress: [], egress: [] }]);
  act("left", { verdict: "forward", port: "right:down" });
  apply(state);
  const before = drops("right:down", 1);
  expect(bench.ping("a", "b", 2)).toBe(0);
  expect(drops("right:down", 1) - before).toBe(2);
});

test("a read-only run records the path and touches nothing", () => {
  act("t1", { verdict: "next" });
  act("t2", { verdict: "shape", device: "weir_shape0" });
  apply(pair({ in: ["t1"], out: ["t2"] }));
  const data = Buffer.alloc(64, 1);
  const hop = ids().port("left:a") * 16;
  const writes = panel.writes;
  bench.inNode(() => panel.resume.testRun({ data, ctx: { mark: (hop | 0x80000000) >>> 0 } }));
  const { steps, step } = panel.trace();
  expect(steps).toBe(4);
  expect(step.map(({ op, instance }) => [op, instance])).toEqual([
    ["call", "t1"],
    ["call", "left"],
    ["call", "t2"],
    ["peer", ""],
  ]);
  expect([runs("t1").runs, panel.writes - writes]).toEqual([0, 0]);
});

describe("lifetime", () => {
  test("what is in force already costs no write, and a change costs one flip", () => {
    const state = pair({ in: ["t1"] });
    apply(state);
    expect(apply(state)).toBe(0);
    const before = panel.generations.active;
    expect(apply(pair({ in: ["t1", "t1"] }))).toBeGreaterThan(0);
    expect(panel.generations.active).toBe(1 - before);
  });

  test("a new agent finds everything, and writes nothing", () => {
    act("t1", { verdict: "next" });
    const state = pair({ in: ["t1"] });
    apply(state);
    panel.close();
    panel = open();
    expect(panel.writes).toBe(0);
    expect(apply(state)).toBe(0);
    expect(bench.ping("a", "b", 3)).toBe(3);
  });

  test("without any agent, packets flow", () => {
    apply(pair());
    panel.close();
    expect(bench.ping("a", "b", 3)).toBe(3);
    panel = open();
  });

  test("a panel of another ABI takes over ids, state and devices", () => {
    const state = pair({ in: ["t1"] });
    act("t1", { verdict: "next" });
    apply(state);
    const port = ids().port("left:a");
    const next = open(2);
    expect(next.names.find("port", "left:a")).toBe(port);
    expect(apply(state, next)).toBeGreaterThan(0);
    expect(next.dropOldPanels()).toEqual([expect.stringMatching(/^abi-1-[0-9a-f]{8}$/)]);
    panel.close();
    panel = next;
    expect(bench.ping("a", "b", 3)).toBe(3);
    expect(runs("t1").runs).toBe(3);
    expect(open(2).writes).toBe(0);
  });

  test("a panel that was never in force, as a crash may leave it, gives nothing to the next", () => {
    const openAt = (abi: number) =>
      bench.inNode(() => Panel.open({ root: join(bench.bpffs, "crash"), objects: objects(abi), functions: ["act"] }));
    const inForce = openAt(2);
    for (const name of ["x:1", "x:2", "x:3"]) inForce.names.id("port", name);
    const ports = inForce.names.all("port");
    const config = { events: false, recirc: 0, split: 0, abi: 2 };
    inForce.generations.apply({ hops: new Map(), devices: new Map(), tunnels: new Map(), config });
    const halfBuilt = openAt(1);
    halfBuilt.names.prune("port", new Set());
    halfBuilt.names.id("port", "x:3");
    const next = openAt(3);
    expect(next.names.all("port")).toEqual(ports);
    for (const one of [inForce, halfBuilt, next]) one.close();
  });
});
