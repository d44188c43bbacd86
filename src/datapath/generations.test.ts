import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PortRows } from "./compile.ts";
import { Generations } from "./generations.ts";
import { type Hop, hopRow } from "./layout.ts";
import { Names } from "./names.ts";
import { PanelPorts } from "./panel-ports.ts";
import type { PanelTables } from "./port-rows.ts";
import { idKey } from "./tables.ts";
import { memoryPanel, memoryTable } from "./testing/memory.ts";

const config = { recirc: 10, split: 11, processors: 2 };
const identity = { abi: 2, epoch: 3 };
const hop = (op: Hop["op"], instance = 0, target = 0): Hop => ({ op, slot: instance ? 1 : 0, instance, target });

/** A port whose ingress chain has these functions, entered from the device with this index. */
const port = (id: number, entry: number | undefined, functions: readonly number[] = []): PortRows => ({
  id,
  ingress: [...functions.map((instance) => hop("call", instance)), hop("call", 9000)],
  egress: [hop("peer", 0, entry ?? 0)],
  entry,
});

type Memory = ReturnType<typeof memoryPanel>;

/** Records writes and grace periods in order. */
function record(tables: Memory): string[] {
  const order: string[] = [];
  for (const name of ["config", "hops", "devices"] as const) {
    const table = tables[name];
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
  return order;
}

function bench(tables: Memory = memoryPanel(), ports: Iterable<number> = [], courses = 1024) {
  const order = record(tables);
  const settle = () => order.push("settle");
  const generations = new Generations({ tables, courses, ports, identity, settle });
  const apply = (...rows: (PortRows | number)[]) => {
    order.length = 0;
    for (const one of rows) {
      if (typeof one === "number") generations.stage(one, undefined);
      else generations.stage(one.id, one);
    }
    return generations.commit(config);
  };
  return { tables, generations, apply, order };
}

/** The functions that a packet from a device meets in one generation. */
function walk(tables: PanelTables, gen: number, ifindex: number): number[] | undefined {
  const { devices, hops } = tables;
  const row = devices.lookup(devices.key.encode({ ifindex, gen }));
  if (!row) return undefined;
  const block = hops.lookup(idKey(hopRow(Number(devices.value.decode(row)["port"]), gen)));
  const { hop: all } = hops.value.decode(block ?? Buffer.alloc(0)) as { hop: Hop[] };
  return all.slice(0, 16).flatMap(({ instance }) => (instance && instance < 9000 ? [instance] : []));
}

describe("Generations", () => {
  test("a new port is written into both generations, its device last, without a flip", () => {
    const { tables, generations, apply, order } = bench();
    apply(port(1, 7, [5]));
    expect(generations.active).toBe(0);
    // each generation: hops that drop first, then the real ones
    expect(order).toEqual([...Array(4).fill("write hops"), "write devices", "write devices", "write config"]);
    expect([0, 1].map((gen) => walk(tables, gen, 7))).toEqual([[5], [5]]);
    apply(port(2, 8));
    expect(order).toEqual([...Array(4).fill("write hops"), "write devices", "write devices"]);
  });

  test("no packet enters a new port before all of its rows are written", () => {
    const { tables, apply } = bench();
    const seen: number[][] = [];
    const { write } = tables.hops;
    tables.hops.write = (rows) => {
      const { hop: all } = tables.hops.value.decode(rows[0]?.[1] ?? Buffer.alloc(0)) as { hop: { op?: number }[] };
      seen.push([...new Set(all.map(({ op = 0 }) => op))]);
      write.call(tables.hops, rows);
    };
    apply(port(1, 7, [5]));
    expect(seen.slice(0, 2)).toEqual([[0], [0]]);
  });

  test("a change is written into the idle generation, and takes effect by one write", () => {
    const { tables, generations, apply, order } = bench();
    apply(port(1, 7, [5]));
    apply(port(1, 7, [6]));
    expect(order).toEqual(["write hops", "write config", "settle"]);
    expect(generations.active).toBe(1);
    expect([0, 1].map((gen) => walk(tables, gen, 7))).toEqual([[5], [6]]);
  });

  test("a flip only writes the ports of this change and of the last one", () => {
    const { tables, apply, order } = bench();
    apply(...Array.from({ length: 100 }, (_, i) => port(i + 1, 100 + i, [5])));
    apply(port(1, 100, [6]));
    apply(port(2, 101, [7]));
    expect(order).toEqual(["write hops", "write hops", "write config", "settle"]);
    expect([100, 101, 102].map((device) => walk(tables, 0, device))).toEqual([[6], [7], [5]]);
  });

  test("a removed port's device rows go first, and its hops after the last packet", () => {
    const { tables, generations, apply, order } = bench();
    apply(port(1, 7, [5]), port(2, 8));
    apply(1);
    expect(order).toEqual(["remove devices", "remove devices", "settle", "remove hops", "remove hops"]);
    expect([...generations.ports()]).toEqual([2]);
    expect(tables.devices.entries()).toHaveLength(2);
  });

  test("a port with another device is changed without a flip", () => {
    const { tables, apply, order } = bench();
    apply(port(1, undefined));
    apply({ ...port(1, undefined), entry: 9 });
    expect(order).toEqual(["write devices", "write devices"]);
    expect(walk(tables, 1, 9)).toEqual([]);
  });

  test("two ports exchange devices", () => {
    const { tables, apply } = bench();
    apply(port(1, 7, [5]), port(2, 8, [6]));
    apply(port(1, 8, [5]), port(2, 7, [6]));
    apply(port(3, 9));
    apply(port(3, 9, [4]));
    for (const gen of [0, 1]) expect([walk(tables, gen, 7), walk(tables, gen, 8)]).toEqual([[6], [5]]);
    expect(tables.devices.entries()).toHaveLength(6);
  });

  test("what is in force is not written again, also after a restart", () => {
    const { tables, apply, order } = bench();
    apply(port(1, 7, [5]), port(2, 8));
    apply(port(1, 7, [6]));
    apply(port(1, 7, [6]), port(2, 8));
    expect(order).toEqual([]);
    const next = bench(tables, [1, 2]);
    next.apply(port(1, 7, [6]), port(2, 8));
    expect(next.order).toEqual([]);
    next.apply(port(2, 8, [5]));
    expect([7, 8].map((device) => walk(tables, 0, device))).toEqual([[6], [5]]);
  });

  test("a changed configuration is written by itself", () => {
    const { tables, generations, apply, order } = bench();
    apply(port(1, 7));
    order.length = 0;
    generations.commit({ ...config, processors: 3 });
    expect(order).toEqual(["write config"]);
    const [row] = tables.config.entries();
    expect(row && tables.config.value.decode(row[1])).toMatchObject({ gen: 0, processors: 3, ...identity });
  });

  test("a port that cannot be written does not affect others", () => {
    const { tables, apply } = bench();
    const { write } = tables.devices;
    tables.devices.write = (rows) => {
      if (tables.devices.key.decode(rows[0]?.[0] ?? Buffer.alloc(0))["ifindex"] === 8)
        throw new Error("the map is full");
      write.call(tables.devices, rows);
    };
    const failures = apply(port(1, 7), port(2, 8), port(3, 9));
    expect([...failures].map(([id, { message }]) => [id, message])).toEqual([[2, "the map is full"]]);
    expect([7, 8, 9].map((device) => walk(tables, 0, device))).toEqual([[], undefined, []]);
    tables.devices.write = write;
    expect(apply(port(2, 8))).toEqual(new Map());
    expect(walk(tables, 0, 8)).toEqual([]);
  });

  test("a chain without a free course id does not affect others", () => {
    const { apply } = bench(memoryPanel(), [], 64);
    const many = Array.from({ length: 70 }, (_, i) => port(i + 1, 100 + i, [5]));
    const failures = apply(...many);
    expect([...failures.keys()]).toEqual([64, 65, 66, 67, 68, 69, 70]);
    expect(apply(port(1, 100), port(70, 169, [5]))).toEqual(new Map([[70, expect.any(Error)]]));
    expect(apply(port(70, 169, [5]))).toEqual(new Map());
  });

  const change = fc.record({
    id: fc.integer({ min: 1, max: 6 }),
    device: fc.option(fc.integer({ min: 100, max: 105 }), { nil: undefined }),
    functions: fc.option(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }), { nil: undefined }),
  });
  const step = fc.record({ changes: fc.array(change, { maxLength: 5 }), restart: fc.boolean() });
  const IDS = [1, 2, 3, 4, 5, 6];
  const DEVICES = [100, 101, 102, 103, 104, 105];

  /** Changes a wanted port. A device leads to one port at most. */
  function want(
    wanted: Map<number, PortRows>,
    { id, device, functions }: typeof change extends fc.Arbitrary<infer T> ? T : never,
  ): void {
    const isTaken = [...wanted.values()].some((one) => one.id !== id && one.entry === device);
    if (functions) wanted.set(id, port(id, isTaken ? undefined : device, functions));
    else wanted.delete(id);
  }

  test("random changes and restarts: packets meet what was committed, with no unneeded write", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const tables = memoryPanel();
        const wanted = new Map<number, PortRows>();
        let agent = bench(tables);
        for (const { changes, restart } of steps) {
          if (restart) agent = bench(tables, IDS);
          for (const one of changes) want(wanted, one);
          const all = IDS.map((id) => wanted.get(id) ?? id);
          expect(agent.apply(...all).size).toBe(0);
          const owners = DEVICES.map((device) => [...wanted.values()].find(({ entry }) => entry === device));
          const expected = owners.map((one) => one?.ingress.slice(0, -1).map(({ instance }) => instance));
          expect(DEVICES.map((device) => walk(tables, agent.generations.active, device))).toEqual(expected);
          agent.apply(...all);
          expect(agent.order).toEqual([]);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("rows that somebody else changed", () => {
  const COUNT = 1000;
  const SLICE = 100;
  /** A panel with many ports, of which some differ between the generations; all of its rows. */
  function large() {
    const world = bench(memoryPanel(), [], 4 * COUNT);
    const ids = Array.from({ length: COUNT }, (_, i) => i + 1);
    world.apply(...ids.map((id) => port(id, 5000 + id, [id])));
    world.apply(...ids.filter((id) => id % 7 === 0).map((id) => port(id, 5000 + id, [id, 9])));
    const { hops, devices, near, courses, config: row } = world.tables;
    const rows = () =>
      [hops, devices, near, courses, row].map((table) => new Map(table.entries().map(([k, v]) => [`${k}`, v])));
    return { ...world, rows };
  }
  const scrubAll = (generations: Generations): number => {
    for (let slices = 1; ; slices++) if (!generations.scrub(SLICE)) return slices;
  };

  test("are repaired in both generations, slice by slice, and nothing else is written", () => {
    const { tables, generations, order, rows } = large();
    const before = rows();
    const { hops, devices, near, courses, config: row } = tables;
    for (const table of [hops, near, courses, row]) table.remove(table.entries().map(([key]) => key));
    const leads = devices.entries();
    devices.remove(leads.slice(0, 10).map(([key]) => key));
    devices.write(leads.slice(10, 20).map(([key]) => [key, devices.value.encode({ port: 3 })]));
    devices.write([[devices.key.encode({ ifindex: 1, gen: 0 }), devices.value.encode({ port: 3 })]]);
    hops.write([[idKey(hopRow(5, 0)), hops.value.encode({ hop: [] })]]);
    expect(scrubAll(generations)).toBe(3 + COUNT / SLICE);
    expect(rows()).toEqual(before);
    order.length = 0;
    scrubAll(generations);
    expect(order.filter((one) => !one.startsWith("remove devices") && !one.startsWith("write devices"))).toEqual([]);
  });

  test("a panel without ports is compared in a few slices too", () => {
    expect(scrubAll(bench().generations)).toBe(3);
  });

  test("one slice looks at so many ports, and decodes no row of devices while none is another", () => {
    const { tables, generations } = large();
    scrubAll(generations);
    let looks = 0;
    let decodes = 0;
    const { lookup } = tables.hops;
    const { entries } = tables.devices;
    tables.hops.lookup = (key) => {
      looks++;
      return lookup.call(tables.hops, key);
    };
    tables.devices.entries = () => {
      decodes++;
      return entries.call(tables.devices);
    };
    for (let fixed = 0; fixed < 3; fixed++) generations.scrub(SLICE);
    expect(looks).toBe(0);
    generations.scrub(SLICE);
    expect([looks, decodes]).toEqual([2 * SLICE, 0]);
  });
});

test("what was staged is put in force by the next commit if one breaks off", () => {
  const tables = memoryPanel();
  const { generations } = bench(tables);
  const names = new Names({ table: memoryTable("weir_names") });
  const ports = new PanelPorts(generations, names);
  const of = (name: string, entry: number, functions: number[] = []) => port(names.id("port", name), entry, functions);
  ports.set("a", of("a", 7));
  expect(ports.commit(config).size).toBe(0);
  const { write } = tables.config;
  tables.config.write = () => {
    throw new Error("write config: EPERM");
  };
  ports.set("a", of("a", 7, [4]));
  expect(() => ports.commit(config)).toThrow("EPERM");
  tables.config.write = write;
  expect(ports.commit(config).size).toBe(0);
  expect(walk(tables, generations.active, 7)).toEqual([4]);
});
