import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { namespacePath } from "../kernel/index.ts";
import { dropOtherTables, flowMapSizes } from "./flow-folder.ts";
import type { FlowRow } from "./flow-rows.ts";
import { FlowTable } from "./flows.ts";
import { ABI, World } from "./testing/acting.ts";
import { Tracker } from "./testing/tracking.ts";

describe("removal by userspace", () => {
  let tracker: Tracker;
  beforeAll(() => {
    tracker = new Tracker({ buckets: 1024 });
    tracker.table.setQuota(tracker.table.ways);
  });
  afterAll(() => tracker?.close());

  const fill = (): void => {
    for (const [zone, owner] of [
      [1, 1],
      [1, 2],
      [2, 1],
    ] as const) {
      tracker.burst({ work: "open", flows: 1000 * owner, zone, owner, next: 0, translate: owner === 2 ? 8080 : 0 });
    }
  };
  const left = (): number => [...tracker.table.rows()].length;

  test.each([
    ["a zone", { zone: 2 }, 1000],
    ["an owner, aliases too", { owner: 2 }, 2000],
    ["both", { zone: 1, owner: 1 }, 1000],
    ["what has none of them", { zone: 3 }, 0],
    ["expired rows: there are none yet", { expired: true }, 0],
  ] as const)("%s", async (_, criteria, removed) => {
    await tracker.table.remove({ zone: 1 });
    await tracker.table.remove({ zone: 2 });
    expect(left()).toBe(0);
    fill();
    const before = left();
    expect(await tracker.table.remove(criteria)).toBe(removed);
    expect(left()).toBe(before - removed);
    const held = tracker.table.owners().reduce((sum, owner) => sum + owner.held, 0);
    expect(held).toBe(left());
  });

  test("removes flows by any property, with their aliases", async () => {
    await tracker.table.remove({ zone: 1 });
    tracker.burst({ work: "open", flows: 100, translate: 8080 });
    const even = (row: FlowRow) => row.zone === 1 && row.original.srcPort % 2 === 0;
    expect(await tracker.table.removeWhere(even)).toBe(50);
    const rows = [...tracker.table.rows()].filter(({ zone }) => zone === 1);
    expect(rows.map(({ kind }) => kind).sort()).toEqual([
      ...Array.from({ length: 50 }, () => "flow"),
      ...Array.from({ length: 50 }, () => "translated"),
    ]);
    expect(rows.some(even)).toBe(false);
  });

  test("keeps a row that has been reused by another flow", async () => {
    await tracker.table.remove({ zone: 1 });
    tracker.burst({ work: "open", flows: 1 });
    const [row] = [...tracker.table.rows()].filter(({ zone }) => zone === 1);
    if (!row) throw new Error("no row");
    expect([tracker.table.cut([row.cut]), tracker.table.cut([row.cut])]).toEqual([1, 0]);
    tracker.burst({ work: "open", flows: 1 });
    expect(tracker.table.cut([row.cut])).toBe(0);
  });

  test("refuses to remove without a criterion, and refuses invalid sizes", async () => {
    await expect(tracker.table.remove({})).rejects.toThrow(/name a criterion/);
    expect(() => flowMapSizes(tracker.folder, { buckets: 100, owners: 16 })).toThrow(/no power of two/);
    expect(() => flowMapSizes(tracker.folder, { buckets: 64, owners: 70_000 })).toThrow(/not 1 to 65536/);
  });

  test("reads rows with all fields", async () => {
    await tracker.table.remove({ zone: 1 });
    tracker.burst({ work: "open", flows: 1, translate: 8080, owner: 7 });
    const rows = [...tracker.table.rows()].filter(({ zone, owner }) => zone === 1 && owner === 7);
    expect(rows.find(({ kind }) => kind === "flow")).toMatchObject({
      ...{ zone: 1, owner: 7, family: 4, protocol: 17, state: "udp-new", service: 0 },
      original: { src: "10.0.0.0", dst: "192.0.2.1", srcPort: 1024, dstPort: 80 },
      translated: { src: "10.0.0.0", dst: "192.0.2.1", srcPort: 1024, dstPort: 8080 },
    });
    const { left, age } = rows[0] as FlowRow;
    expect([left > 20, left < 31, age >= 0, age < 10]).toEqual([true, true, true, true]);
  });
});

describe("a table and its schema", () => {
  let tracker: Tracker;
  beforeAll(() => {
    tracker = new Tracker();
  });
  afterAll(() => tracker?.close());

  test("an unused table is removed; one in use stays", () => {
    const bpffs = join(tracker.directory, "bpf");
    for (const name of ["flows-1", "flows-2", "abi-1"]) mkdirSync(join(bpffs, name));
    expect(dropOtherTables(bpffs, join(bpffs, "flows-2"))).toEqual(["flows-1"]);
    expect(["flows-1", "flows-2", "abi-1"].map((name) => existsSync(join(bpffs, name)))).toEqual([false, true, true]);
  });

  test("an existing table keeps its size, keys and flows when it is opened with a larger size", () => {
    tracker.burst({ work: "open", flows: 100 });
    const again = FlowTable.create(tracker.folder, tracker.directory, { buckets: 4096, owners: 1024 });
    expect([again.buckets, again.bytes]).toEqual([64, tracker.table.bytes]);
    expect(tracker.burst({ work: "find", flows: 100 }).missed).toBe(0);
    again.close();
  });
});

describe("flows across a change of panels", () => {
  let world: World;
  beforeAll(() => {
    world = new World([ABI, ABI + 1]);
  });
  afterAll(() => world?.close());

  const flows = () => [...(world.panel.flows?.rows() ?? [])];

  test("a new agent and a panel of another ABI use the same table unchanged", () => {
    const state = world.pair();
    world.act("left", { verdict: "track", arg: 5, extra: "right:b" });
    world.act("right", { verdict: "track", arg: 5, extra: "left:a" });
    world.apply(state);
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    const [flow, ...others] = flows();
    expect(others).toEqual([]);
    expect(flow).toMatchObject({ zone: 5, owner: world.ids().port("left:a"), state: "icmp-echo", protocol: 1 });
    world.panel.close();
    world.panel = world.open();
    expect(flows().map(({ cut }) => cut)).toEqual([flow?.cut]);
    const next = world.open(ABI + 1);
    world.apply(state, next);
    next.dropOldPanels(() => true);
    world.panel.close();
    world.panel = next;
    expect(flows().map(({ cut }) => cut)).toEqual([flow?.cut]);
    expect(world.bench.ping("a", "b", 3)).toBe(3);
    expect(flows().length).toBe(2); // each run of ping has another identifier
  });

  test("a half-closed connection works without an agent", async () => {
    const state = world.pair();
    world.act("left", { verdict: "track", arg: 6, extra: "right:b" });
    world.act("right", { verdict: "track", arg: 6, extra: "left:a" });
    world.apply(state);
    const netns = `--net=${namespacePath(world.bench.pod("b"))}`;
    const server = spawn("nsenter", [netns, process.execPath, "-e", SERVER], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(server, "close");
    await once(server.stdout, "data"); // the server listens
    expect(world.bench.run(world.bench.pod("a"), process.execPath, "-e", CLIENT)).toBe("0123456789");
    await ended;
    world.bench.quiet();
    const [flow] = flows().filter(({ zone, kind }) => zone === 6 && kind === "flow");
    expect(flow).toMatchObject({ protocol: 6, state: "tcp-closed" });
  });
});

/** Sends ten digits after the client has closed its side, then exits. */
const SERVER = `
const net = require("node:net");
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("end", () => {
    let digit = 0;
    const timer = setInterval(() => {
      socket.write(String(digit));
      if (++digit === 10) { clearInterval(timer); socket.end(); server.close(); }
    }, 10);
  });
  socket.resume();
});
server.listen(7, "10.9.0.2", () => console.log("ready"));
`;
const CLIENT = `
const socket = require("node:net").connect({ host: "10.9.0.2", port: 7, allowHalfOpen: true }, () => socket.end());
let got = "";
socket.on("data", (data) => { got += data; }).on("end", () => process.stdout.write(got));
`;
