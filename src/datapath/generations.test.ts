import { describe, expect, test } from "vitest";
import { Generations, type PanelState } from "./generations.ts";
import { HOP_IDS, type Hop } from "./layout.ts";
import { memoryPanel } from "./testing/memory.ts";

const hop = (target: number): Hop => ({ op: "peer", slot: 0, instance: 0, port: 1, target });
const config = { events: false, recirc: 10, split: 11, processors: 2 };
const identity = { abi: 1, epoch: 3 };
const state = (change: Partial<PanelState> = {}): PanelState => ({
  hops: new Map([[24, hop(7)]]),
  devices: new Map([[7, 1]]),
  tunnels: new Map(),
  config,
  ...change,
});
const hopKeys = (tables: ReturnType<typeof memoryPanel>) =>
  tables.hops
    .entries()
    .map(([key]) => key.readUInt32LE())
    .sort((a, b) => a - b);
const writes = (tables: ReturnType<typeof memoryPanel>) =>
  ["config", "hops", "devices", "tunnels"].reduce((sum, name) => sum + (tables[name]?.writes ?? 0), 0);

describe("Generations", () => {
  test("a change goes into the idle generation and becomes real by the write of the configuration", () => {
    const tables = memoryPanel();
    const generations = new Generations(tables, [1], identity);
    generations.apply(state());
    expect([generations.active, hopKeys(tables)]).toEqual([1, [HOP_IDS + 24]]);
    generations.apply(state({ hops: new Map([[24, hop(8)]]) }));
    expect([generations.active, hopKeys(tables)]).toEqual([0, [24, HOP_IDS + 24]]);
    const [row] = tables.config.entries();
    expect(row && tables.config.value.decode(row[1])).toMatchObject({
      gen: 0,
      recirc_ifindex: 10,
      ...identity,
      processors: 2,
    });
  });

  test("what is in force costs no write, for the next agent too", () => {
    const tables = memoryPanel();
    new Generations(tables, [1], identity).apply(state());
    const before = writes(tables);
    const next = new Generations(tables, [1], identity);
    expect(next.apply(state())).toBe(0);
    expect(writes(tables)).toBe(before);
  });

  test("a change writes what differs from two states ago, no more", () => {
    const many = new Map(Array.from({ length: 100 }, (_, i) => [16 * (i + 1) + 8, hop(i + 1)]));
    const tables = memoryPanel();
    const generations = new Generations(
      tables,
      [...many.keys()].map((id) => Math.floor(id / 16)),
      identity,
    );
    generations.apply(state({ hops: many }));
    generations.apply(state({ hops: new Map([...many, [24, hop(500)]]) }));
    // one hop in the idle half, and the flip
    expect(generations.apply(state({ hops: new Map([...many, [24, hop(501)]]) }))).toBe(2);
  });

  test("tunnels exist before the hops that use them, and after the last packet that did", () => {
    const tables = memoryPanel();
    const order: string[] = [];
    for (const name of ["config", "tunnels"]) {
      const table = tables[name];
      if (!table) throw new Error(name);
      const { write, remove } = table;
      table.write = (rows) => {
        order.push(`write ${name}`);
        write.call(table, rows);
      };
      table.remove = (keys) => {
        order.push(`remove ${name}`);
        remove.call(table, keys);
      };
    }
    const generations = new Generations(tables, [1], identity, () => order.push("settle"));
    generations.apply(state({ tunnels: new Map([[1, { vni: 1, remote: "192.0.2.1" }]]) }));
    generations.apply(state());
    expect(order).toEqual([
      ...["write tunnels", "write config", "settle"],
      ...["write config", "settle", "remove tunnels"],
    ]);
  });

  test.each([
    ["events", { config: { ...config, events: true } }],
    ["a device", { devices: new Map([[8, 1]]) }],
    ["nothing left", { hops: new Map(), devices: new Map() }],
  ])("notices a change of %s", (_, change) => {
    const generations = new Generations(memoryPanel(), [1], identity);
    generations.apply(state());
    expect(generations.apply(state(change))).toBeGreaterThan(0);
    expect(generations.apply(state(change))).toBe(0);
  });
});
