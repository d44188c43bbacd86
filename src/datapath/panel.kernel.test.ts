import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RingBuffer } from "../kernel/index.ts";
import { endIperf, serveIperf } from "../kernel/testing/iperf-server.ts";
import type { Port } from "../model/document.ts";
import { firstHop, markOf } from "./layout.ts";
import { Panel } from "./panel.ts";
import { ABI, World } from "./testing/acting.ts";
import { devicePort } from "./testing/bench.ts";
import { readTrace } from "./testing/trace.ts";

let world: World;
const pidfile = (): string => join(world.bench.directory, "iperf.pid");
beforeAll(() => {
  world = new World([2, 3, 4]);
});
afterAll(() => {
  if (world) endIperf(pidfile());
  world?.close();
});

beforeEach(() => {
  const table = world.panel.table("weir_act_runs");
  table.remove(table.entries().map(([key]) => key));
});

describe("verdicts", () => {
  test("forward and next: every function of both chains sees each packet once", () => {
    const chain = ["t1", "t2", "t3"];
    for (const name of chain) world.act(name, { verdict: "next" });
    world.apply(world.pair({ in: ["t1", "t2"], out: ["t3"] }));
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    expect(chain.map((name) => world.runs(name).runs)).toEqual([3, 3, 3]);
    expect(world.runs("left").runs).toBe(3);
  });

  test("a path of 30 calls is recirculated and arrives", () => {
    const chain = (prefix: string) => [1, 2, 3, 4, 5, 6, 7].map((n) => `${prefix}${n}`);
    for (const prefix of ["p", "q", "r", "s"]) for (const name of chain(prefix)) world.act(name, { verdict: "next" });
    const middle: Port[] = [
      { instance: "left", name: "on", peer: { kind: "port", port: "mid:in" }, ingress: [], egress: chain("q") },
      { instance: "mid", name: "in", peer: { kind: "port", port: "left:on" }, ingress: chain("r"), egress: [] },
    ];
    const state = world.pair({ in: chain("p"), out: chain("s") }, middle);
    world.act("left", { verdict: "forward", port: "left:on" });
    world.act("mid", { verdict: "forward", port: "right:b" });
    world.apply(state);
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    for (const name of ["p1", "q7", "r7", "s1", "s7"]) expect([name, world.runs(name).runs]).toEqual([name, 3]);
  });

  test("a packet in a loop is dropped with reason loop", () => {
    world.apply(world.pair({ in: ["t1"] }));
    world.act("t1", { verdict: "recirculate", arg: firstHop(world.ids().port("left:a"), "ingress") });
    const before = world.drops("left:a", 4);
    expect(world.bench.ping("a", "b", 2)).toBe(0);
    expect(world.drops("left:a", 4) - before).toBe(2);
    expect(world.runs("t1").runs).toBe(2 * 16);
  });

  test("clone: the copy takes the other port's egress chain, the original goes on", () => {
    world.act("t1", { verdict: "next" });
    world.act("third", { verdict: "drop", arg: 1 });
    const third = devicePort("third", "c", "c", { egress: ["t1"] });
    const state = world.pair({}, [third]);
    world.act("left", { verdict: "clone", port: "third:c", extra: "right:b" });
    world.apply(state);
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    expect(world.runs("t1").runs).toBe(3);
  });

  test("shape: the packet comes back to the same hop, marked as resumed, and leaves without a mark", () => {
    world.act("t1", { verdict: "shape", device: "weir_shape0" });
    world.act("t2", { verdict: "next" });
    world.apply(world.pair({ in: ["t1", "t2"] }));
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    expect(world.runs("t1").runs).toBe(6);
    expect(world.runs("t2")).toMatchObject({ runs: 3, mark: 0 });
  });

  test("split: GSO packets come back as segments", async () => {
    world.act("t1", { verdict: "split" });
    world.act("t2", { verdict: "next" });
    world.apply(world.pair({ in: ["t1", "t2"] }));
    await serveIperf((...command) => world.bench.run(world.bench.pod("b"), ...command), pidfile());
    world.bench.run(world.bench.pod("a"), "iperf3", "-c", "10.9.0.2", "-n", "20M", "--connect-timeout", "2000");
    world.bench.quiet();
    const seen = world.runs("t2");
    expect(seen.runs).toBeGreaterThan(10000);
    expect(seen.segments).toBe(seen.runs);
  });

  test("drop: counted by port, function, rule and reason", () => {
    world.act("t1", { verdict: "drop", arg: 15, rule: 3 });
    world.apply(world.pair({ in: ["t1"] }));
    const { port, instance } = world.ids();
    const key = { port: port("left:a"), instance: instance("t1"), rule: 3, reason: 15 };
    const drops = world.panel.table("weir_drops");
    const isThat = (bytes: Buffer) => {
      const row = drops.key.decode(bytes);
      return Object.entries(key).every(([name, value]) => row[name] === value);
    };
    expect(drops.entries().filter(([row]) => isThat(row))).toEqual([]);
    expect(world.bench.ping("a", "b", 2)).toBe(0);
    expect(drops.entries().filter(([row]) => isThat(row))).toHaveLength(1);
    expect(world.drops("left:a", 15)).toBe(2);
  });

  test("up: userspace has the whole packet, within the port's rate", () => {
    world.act("t1", { verdict: "up", arg: 42 });
    world.apply(world.pair({ in: ["t1"] }));
    const ups: Buffer[] = [];
    const ring = RingBuffer.open(world.panel.table("weir_upcalls").map, (data) => ups.push(Buffer.from(data)));
    world.bench.ping("a", "b", 2);
    ring.poll();
    ring.close();
    expect(ups.map((up) => [up.readUInt32LE(12), up.readUInt32LE(20)])).toEqual([
      [42, 98],
      [42, 98],
    ]);
  });

  test("stack: the packet is passed to the stack by the device that received it", () => {
    world.bench.ip("addr", "add", "10.9.0.77/32", "dev", "va");
    world.bench.ip("route", "add", "10.9.0.1/32", "dev", "va");
    const state = world.pair();
    world.act("left", { verdict: "stack" });
    world.apply(state);
    world.bench.run(
      world.bench.pod("a"),
      "ip",
      "neigh",
      "replace",
      "10.9.0.77",
      "lladdr",
      JSON.parse(world.bench.ip("-j", "link", "show", "va"))[0].address,
      "dev",
      "eth0",
    );
    const out = world.bench.run(
      world.bench.pod("a"),
      "ping",
      "-n",
      "-q",
      "-c",
      "2",
      "-i",
      "0.05",
      "-W",
      "1",
      "10.9.0.77",
    );
    expect(out).toContain("2 received");
  });
});

test("a port without a peer drops, with a reason", () => {
  const state = world.pair({}, [{ instance: "right", name: "down", peer: { kind: "none" }, ingress: [], egress: [] }]);
  world.act("left", { verdict: "forward", port: "right:down" });
  world.apply(state);
  const before = world.drops("right:down", 1);
  expect(world.bench.ping("a", "b", 2)).toBe(0);
  expect(world.drops("right:down", 1) - before).toBe(2);
});

test("a read-only run records the path and changes nothing", () => {
  world.act("t1", { verdict: "next" });
  world.act("t2", { verdict: "shape", device: "weir_shape0" });
  world.apply(world.pair({ in: ["t1"], out: ["t2"] }));
  const data = Buffer.alloc(64, 1);
  const mark = markOf(firstHop(world.ids().port("left:a"), "ingress"), world.panel.abi, 0x80000000);
  const writes = world.panel.writes;
  world.bench.inNode(() => world.panel.resume.testRun({ data, ctx: { mark } }));
  const { steps, step } = readTrace(world.panel);
  expect(steps).toBe(4);
  expect(step.map(({ op, instance }) => [op, instance])).toEqual([
    ["call", "t1"],
    ["call", "left"],
    ["call", "t2"],
    ["peer", ""],
  ]);
  expect([world.runs("t1").runs, world.panel.writes - writes]).toEqual([0, 0]);
});

describe("lifetime", () => {
  test("what is in force is not written again, and a change costs one flip", () => {
    const state = world.pair({ in: ["t1"] });
    world.apply(state);
    expect(world.apply(state)).toBe(0);
    const before = world.panel.generations.active;
    expect(world.apply(world.pair({ in: ["t1", "t1"] }))).toBeGreaterThan(0);
    expect(world.panel.generations.active).toBe(1 - before);
  });

  test("a new agent takes over everything without a write", () => {
    world.act("t1", { verdict: "next" });
    const state = world.pair({ in: ["t1"] });
    world.apply(state);
    world.panel.close();
    world.panel = world.open();
    expect(world.panel.writes).toBe(0);
    expect(world.apply(state)).toBe(0);
    expect(world.bench.ping("a", "b", 3)).toBe(3);
  });

  test("packets are forwarded without an agent", () => {
    world.apply(world.pair());
    world.panel.close();
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    world.panel = world.open();
  });

  test("a panel of another ABI takes over ids, state and devices", () => {
    const state = world.pair({ in: ["t1"] });
    world.act("t1", { verdict: "next" });
    world.apply(state);
    const port = world.ids().port("left:a");
    const next = world.open(3);
    expect(next.names.find("port", "left:a")).toBe(port);
    expect(world.apply(state, next)).toBeGreaterThan(0);
    expect(next.dropOldPanels(() => true)).toEqual([expect.stringMatching(/^abi-2-[0-9a-f]{8}$/)]);
    world.panel.close();
    world.panel = next;
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    expect(world.runs("t1").runs).toBe(3);
    expect(world.open(3).writes).toBe(0);
  });

  test("a node configured for more ports has a panel of that size", () => {
    const openFor = (ports: number) =>
      world.bench.inNode(() =>
        Panel.open({
          root: join(world.bench.bpffs, "sizes"),
          objects: world.objects(ABI),
          functions: ["act"],
          sizes: { ports },
        }),
      );
    const small = openFor(64);
    for (let n = 1; n < 64; n++) small.names.id("port", `x:${n}`);
    expect(() => small.names.id("port", "x:64")).toThrow("allocate port id: all 63 are taken");
    small.ports.commit({ recirc: 0, split: 0, processors: 1 });
    const large = openFor(16_384);
    expect(large.own).not.toBe(small.own);
    expect(large.names.all("port")).toEqual(small.names.all("port"));
    for (let n = 64; n < 16_384; n++) large.names.id("port", `x:${n}`);
    const last = large.names.id("port", "x:16383");
    const hop = { op: "stack", slot: 0, instance: 0, target: 0 } as const;
    large.ports.set("x:16383", { id: last, ingress: [hop], egress: [hop], entry: undefined });
    expect(large.ports.commit({ recirc: 0, split: 0, processors: 1 }).size).toBe(0);
    for (const panel of [small, large]) panel.close();
  });

  test("a panel that was never in force, as after a crash, is not taken over", () => {
    const openAt = (abi: number) =>
      world.bench.inNode(() =>
        Panel.open({ root: join(world.bench.bpffs, "crash"), objects: world.objects(abi), functions: ["act"] }),
      );
    const inForce = openAt(3);
    for (const name of ["x:1", "x:2", "x:3"]) inForce.names.id("port", name);
    const ports = inForce.names.all("port");
    inForce.ports.commit({ recirc: 0, split: 0, processors: 1 });
    const halfBuilt = openAt(2);
    const next = openAt(4);
    expect(next.names.all("port")).toEqual(ports);
    expect(next.table("weir_names").map.id).toBe(inForce.table("weir_names").map.id);
    for (const one of [inForce, halfBuilt, next]) one.close();
  });
});
