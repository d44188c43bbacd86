import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { namespacePath } from "../kernel/index.ts";
import { firstHop, markNumber } from "./layout.ts";
import { idKey } from "./tables.ts";
import { ABI, type Act, World } from "./testing/acting.ts";
import { Gate } from "./testing/gate.ts";

/** The number of packets sent into a closed gate; the first few may pass it. */
const PACKETS = 12;
const MOST_PASS = 4;
const PORT_DOWN = 1;

let world: World;
beforeAll(() => {
  world = new World([ABI, ABI + 1]);
});
afterAll(() => world?.close());
beforeEach(() => {
  const table = world.panel.table("weir_act_runs");
  table.remove(table.entries().map(([key]) => key));
});

/** Sends datagrams from pod a to a closed port of pod b, where arrivals are counted. */
const send = (count: number): void => {
  const script = `exec 3>/dev/udp/10.9.0.2/9; for ((i = 0; i < ${count}; i++)); do echo >&3 || echo >&3; done`;
  world.bench.run(world.bench.pod("a"), "bash", "-c", script);
};
const counted = (pod: "a" | "b", counter: string): number => {
  const snmp = world.bench.run(world.bench.pod(pod), "cat", "/proc/net/snmp").split("\n");
  const [names = "", values = ""] = snmp.filter((line) => line.startsWith("Udp: "));
  return Number(values.split(" ")[names.split(" ").indexOf(counter)]);
};
const arrived = (): number => counted("b", "NoPorts");
const sent = (): number => counted("a", "OutDatagrams");
const poll = (value: () => number) => expect.poll(value, { timeout: 60_000, interval: 5 });
const apply = (chain: readonly string[], direction: "in" | "out" = "in") =>
  world.apply(world.pair({ [direction]: [...chain] }));

/** The ways in which function x makes packets wait, and the device on which they do. */
const WAYS = {
  shape: ["weir_shape0", () => ({ verdict: "shape", device: "weir_shape0" })],
  hold: ["weir_shape0", () => ({ verdict: "hold", device: "weir_shape0" })], // the delaying pair would need fq
  split: ["weir_split0", () => ({ verdict: "split" })],
  // to the hop after its own
  recirculate: [
    "weir_recirc0",
    (at: number) => ({ verdict: "recirculate", arg: firstHop(world.ids().port("left:a"), "ingress") + at + 1 }),
  ],
} as const satisfies Record<string, readonly [string, (at: number) => Act]>;

/**
 * Makes packets wait at x of a chain, changes the chain once or several times, then lets them go. Each packet must
 * arrive, and must have been judged exactly once by every function of its original chain that was still in the chain at
 * its turn, and by no other.
 */
async function edit(way: keyof typeof WAYS, before: string[], ...after: string[][]): Promise<void> {
  const now = after.at(-1) ?? [];
  for (const name of new Set([before, ...after].flat())) world.act(name, { verdict: "next" });
  const [device, verdict] = WAYS[way];
  world.act("x", verdict(before.indexOf("x")));
  apply(before);
  const gate = new Gate(world.bench, device);
  try {
    const had = arrived();
    const down = world.drops("left:a", PORT_DOWN);
    send(PACKETS);
    await poll(() => world.runs("x").runs - world.runs("x").resumed).toBe(PACKETS);
    const waited = gate.waiting();
    expect(waited).toBeGreaterThanOrEqual(PACKETS - MOST_PASS);
    await poll(() => arrived() - had).toBe(PACKETS - waited);
    for (const chain of after) apply(chain);
    expect(gate.waiting()).toBe(waited);
    gate.open();
    await poll(() => arrived() - had).toBe(PACKETS);
    expect(world.drops("left:a", PORT_DOWN) - down).toBe(0);
    const comesBack = way === "recirculate" ? 0 : now.includes("x") ? PACKETS : PACKETS - waited;
    const expected = Object.fromEntries(
      [...new Set([...before, ...now])].map((name) => {
        const isDue = before.indexOf(name) > before.indexOf("x");
        if (!before.includes(name)) return [name, 0];
        if (name === "x") return [name, PACKETS + comesBack];
        return [name, isDue && !now.includes(name) ? PACKETS - waited : PACKETS];
      }),
    );
    const found = Object.fromEntries(Object.keys(expected).map((name) => [name, world.runs(name).runs]));
    expect(found).toEqual(expected);
    expect(world.runs("x").resumed).toBe(comesBack);
  } finally {
    gate.close();
  }
}

const CHAIN = ["p", "x", "q"];
describe("a chain is edited while packets of it wait in the shaping pair", () => {
  test.each<[string, ...string[][]]>([
    ["one is added in front", ["n", "p", "x", "q"]],
    ["one is added right before", ["p", "n", "x", "q"]],
    ["one is added right after", ["p", "x", "n", "q"]],
    ["one is added at the end", ["p", "x", "q", "n"]],
    ["one on each side", ["n", "p", "x", "m", "q"]],
    ["as many as fit", ["n", "m", "p", "o", "x", "r", "q", ...Array.from({ length: 8 }, (_, i) => `e${i}`)]],
    ["one before is removed", ["x", "q"]],
    ["one after is removed", ["p", "x"]],
    ["the waiting function is removed", ["p", "q"]],
    ["… with the one after it", ["p"]],
    ["… and one comes in its place", ["p", "n", "q"]],
    ["all are removed", []],
    ["all are others", ["n", "m"]],
    ["it changes places with the one before", ["x", "p", "q"]],
    ["… with the one after", ["p", "q", "x"]],
    ["the order is reversed", ["q", "x", "p"]],
    ["two edits", ["n", "p", "x", "q"], ["q", "x"]],
    ["there and back", ["n"], CHAIN],
    ["three edits, the last of which removes all", ["x", "p", "q"], ["p", "n", "x", "m", "q"], []],
    ["removed and put back elsewhere", ["p", "q"], ["q", "p", "x"]],
  ])("%s", async (_what, ...after) => {
    await edit("shape", CHAIN, ...after);
  });

  test("a full chain is replaced by another", async () => {
    const names = (first: string, count: number) => Array.from({ length: count }, (_, i) => `${first}${i}`);
    await edit("shape", [...names("a", 7), "x", ...names("b", 7)], names("c", 15));
  });
});

describe.each(["hold", "split", "recirculate"] as const)("a chain is edited while packets of it wait by %s", (way) => {
  test.each<[string, ...string[][]]>([
    ["one is added in front", ["n", "p", "x", "q"]],
    ["the waiting function is removed", ["p", "q"]],
    ["all are removed", []],
    ["the order is reversed", ["q", "x", "p"]],
    ["two edits", ["n", "p", "x", "q"], ["q", "x"]],
  ])("%s", async (_what, ...after) => {
    await edit(way, CHAIN, ...after);
  });
});

test("a packet that waits a second time keeps its course", async () => {
  for (const name of ["p", "q", "r"]) world.act(name, { verdict: "next" });
  world.act("x", { verdict: "shape", device: "weir_shape0" });
  world.act("y", { verdict: "shape", device: "weir_recirc0" });
  apply(["p", "x", "y", "q"]);
  const first = new Gate(world.bench, "weir_shape0");
  const second = new Gate(world.bench, "weir_recirc0");
  try {
    const had = arrived();
    send(PACKETS);
    await poll(first.waiting.bind(first)).toBeGreaterThanOrEqual(PACKETS - MOST_PASS);
    apply(["y", "r", "q", "p", "x"]);
    first.open();
    await poll(() => world.runs("y").runs - world.runs("y").resumed).toBe(PACKETS);
    expect(second.waiting()).toBeGreaterThan(0);
    apply(["q", "y", "p"]);
    second.open();
    await poll(() => arrived() - had).toBe(PACKETS);
    const counts = ["p", "x", "y", "q", "r"].map((name) => world.runs(name).runs);
    expect(counts).toEqual([PACKETS, 2 * PACKETS, 2 * PACKETS, PACKETS, 0]);
  } finally {
    first.close();
    second.close();
  }
});

test("an egress chain has a course of its own", async () => {
  for (const name of ["p", "n"]) world.act(name, { verdict: "next" });
  world.act("x", { verdict: "shape", device: "weir_shape0" });
  apply(["p", "x"], "out");
  const gate = new Gate(world.bench, "weir_shape0");
  try {
    const had = arrived();
    send(PACKETS);
    await poll(() => world.runs("x").runs - world.runs("x").resumed).toBe(PACKETS);
    apply(["n"], "out");
    gate.open();
    await poll(() => arrived() - had).toBe(PACKETS);
    expect(world.runs("n").runs).toBe(0);
  } finally {
    gate.close();
  }
});

test("a chain that changes continuously under traffic loses no packet and judges none twice", async () => {
  const COUNT = 20_000;
  const chains = [["p", "x", "q"], ["x"], [], ["q", "n", "x", "p"], ["n"], ["p", "q", "x"]];
  for (const name of ["p", "q", "n"]) world.act(name, { verdict: "next" });
  world.act("x", { verdict: "shape", device: "weir_shape0" });
  apply([]);
  const states = chains.map((chain) => world.pair({ in: chain }));
  const had = { arrived: arrived(), sent: sent(), down: world.drops("left:a", PORT_DOWN) };
  const script = `exec 3>/dev/udp/10.9.0.2/9; for ((i = 0; i < ${COUNT}; i++)); do echo >&3; done`;
  const sender = spawn("nsenter", [`--net=${namespacePath(world.bench.pod("a"))}`, "bash", "-c", script], {
    stdio: "ignore",
  });
  let isSending = true;
  const ended = once(sender, "exit").then(() => {
    isSending = false;
  });
  let flips = 0;
  while (isSending) {
    const state = states[flips++ % states.length];
    if (state) world.apply(state);
    await new Promise(setImmediate);
  }
  await ended;
  const count = sent() - had.sent;
  await poll(() => arrived() - had.arrived).toBe(count);
  expect(world.drops("left:a", PORT_DOWN)).toBe(had.down);
  expect(flips).toBeGreaterThan(2);
  for (const name of ["p", "q", "n"]) expect(world.runs(name).runs).toBeLessThanOrEqual(count);
  expect(world.runs("x").runs).toBeLessThanOrEqual(2 * count);
});

test("packets that wait for a panel return to it after an ABI change; later packets enter the new one", async () => {
  for (const name of ["p", "q"]) world.act(name, { verdict: "next" });
  world.act("x", { verdict: "shape", device: "weir_shape0" });
  apply(CHAIN);
  const state = world.pair({ in: CHAIN });
  const gate = new Gate(world.bench, "weir_shape0");
  const old = world.panel;
  try {
    const had = arrived();
    send(PACKETS);
    await poll(() => world.runs("x").runs - world.runs("x").resumed).toBe(PACKETS);
    const waited = gate.waiting();
    expect(waited).toBeGreaterThanOrEqual(PACKETS - MOST_PASS);
    await poll(() => arrived() - had).toBe(PACKETS - waited);
    const next = world.open(ABI + 1);
    world.apply(state, next);
    world.panel = next;
    // the old panel is kept while packets may wait for it
    expect(next.dropOldPanels(() => false)).toEqual([]);
    send(PACKETS);
    await poll(gate.waiting.bind(gate)).toBe(waited + PACKETS);
    gate.open();
    await poll(() => arrived() - had).toBe(2 * PACKETS);
    // both panels count in the same map rows
    const counts = CHAIN.map((name) => world.runs(name).runs);
    expect(counts).toEqual([2 * PACKETS, 4 * PACKETS, 2 * PACKETS]);
    const tag = idKey(markNumber(ABI));
    expect(next.table("weir_elders").lookup(tag)).toBeDefined();
    expect(next.dropOldPanels(() => true)).toHaveLength(1);
    expect(next.table("weir_elders").lookup(tag)).toBeUndefined();
    expect(world.bench.ping("a", "b", 2)).toBe(2);
  } finally {
    gate.close();
    old.close();
  }
});
