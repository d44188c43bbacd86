import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attachDevice, possibleCpus } from "../kernel/index.ts";
import type { KernelTable } from "./kernel-table.ts";
import { Panel } from "./panel.ts";
import { idKey } from "./tables.ts";
import { attachPrograms } from "./testing/attach.ts";
import { Bench, compileObject } from "./testing/bench.ts";

const BUILDS = [1, 2, 3] as const;
type Build = (typeof BUILDS)[number];

let bench: Bench;
const objects = (build: Build): string => join(bench.directory, `objects-${build}`);
beforeAll(() => {
  bench = new Bench();
  for (const build of BUILDS) {
    mkdirSync(objects(build));
    compileObject("bpf/entry.bpf.c", join(objects(build), "entry.bpf.o"));
    compileObject("src/datapath/testdata/state.bpf.c", join(objects(build), "state.bpf.o"), [`STATE_BUILD=${build}`]);
  }
});
afterAll(() => bench?.close());

const open = (root: string, build: Build): Panel =>
  bench.inNode(() => Panel.open({ root: join(bench.bpffs, root), objects: objects(build), functions: ["state"] }));

/** Puts a panel in force without any device attached to it. */
function putInForce(panel: Panel): Panel {
  panel.ports.commit({ recirc: 0, split: 0, processors: 1 });
  return panel;
}

const decoded = (table: KernelTable) =>
  table.entries().map(([key, value]) => [table.key.decode(key), table.value.decode(value)]);

/** The same counter value on every processor. */
function counts(table: KernelTable, count: Record<string, bigint>): Buffer {
  return Buffer.concat(Array.from({ length: possibleCpus() }, () => table.value.encode(count)));
}

const KEY = { instance: 7, zone: 3 };
const ROW = { packets: 5n, first: 1, second: 2, name: "left" };
const PAIRS = [
  { low: 1, high: 2 },
  { low: 3, high: 4 },
];

describe("state is taken over by a build with other layouts", () => {
  let old: Panel;
  let next: Panel;
  beforeAll(() => {
    old = putInForce(open("layouts", 1));
    const rows = old.table("weir_state_rows");
    rows.write([[rows.key.encode(KEY), rows.value.encode({ ...ROW, pairs: PAIRS, gone: 9n })]]);
    const few = old.table("weir_state_few");
    few.write([1, 40].map((id) => [idKey(id), few.value.encode(BigInt(id) as never)]));
    const sums = old.table("weir_state_counts");
    sums.write([[idKey(4), counts(sums, { packets: 10n, bytes: 1000n })]]);
    old.table("weir_state_same").write([[idKey(1), Buffer.alloc(8, 1)]]);
    old.names.id("instance", "a");
    next = open("layouts", 2);
  });
  afterAll(() => {
    for (const panel of [old, next]) panel?.close();
  });

  test("rows of equal size with reordered fields", () => {
    const [before, after] = [old, next].map((panel) => panel.table("weir_state_rows").value.size);
    expect(after).toBe(before);
    expect(decoded(next.table("weir_state_rows"))).toEqual([
      [
        { ...KEY, reserved: 0 },
        { ...ROW, pairs: PAIRS },
      ],
    ]);
  });

  test("per-CPU counters", () => {
    const table = next.table("weir_state_counts");
    expect(table.lookup(idKey(4))).toEqual(counts(table, { packets: 10n, bytes: 1000n }));
  });

  test("a smaller table takes the rows that fit, and reports the others", () => {
    expect(
      next
        .table("weir_state_few")
        .entries()
        .map(([key]) => key.readUInt32LE()),
    ).toEqual([1]);
    expect(next.lost).toEqual([{ object: "table weir_state_few", message: "take over rows: 1 do not fit this build" }]);
  });

  test("a map declared alike by both builds is shared, so that no count is lost meanwhile", () => {
    expect(next.table("weir_state_same").map.id).toBe(old.table("weir_state_same").map.id);
    old.table("weir_state_same").write([[idKey(2), Buffer.alloc(8, 2)]]);
    expect(next.table("weir_state_same").lookup(idKey(2))).toEqual(Buffer.alloc(8, 2));
    expect(next.names.find("instance", "a")).toBe(old.names.find("instance", "a"));
  });
});

describe("several panels exist", () => {
  const state = (panel: Panel): unknown[] =>
    decoded(panel.table("weir_state_rows")).map(([, row]) => (row as { packets: bigint }).packets);
  const write = (panel: Panel, packets: bigint): void => {
    const rows = panel.table("weir_state_rows");
    rows.write([[rows.key.encode(KEY), rows.value.encode({ packets })]]);
  };

  test("the last one in force is taken over, whatever their names, also by a build that returns", () => {
    const first = putInForce(open("several", 1));
    write(first, 1n);
    const second = putInForce(open("several", 2));
    write(second, 2n);
    const third = open("several", 3);
    expect(state(third)).toEqual([2n]);
    const again = open("several", 1);
    expect(state(again)).toEqual([2n]);
    expect(again.generations.isInForce).toBe(false);
    putInForce(again);
    write(again, 3n);
    expect(state(open("several", 3))).toEqual([3n]);
    expect(state(open("several", 1))).toEqual([3n]);
    for (const panel of [first, second, third, again]) panel.close();
  });

  test("a panel is removed once the next is in force and its devices have moved", () => {
    const attach = (panel: Panel, devices: string[]) =>
      bench.inNode(() =>
        attachPrograms(
          panel,
          devices.map((device) => [device, "entry"] as const),
          (name) => bench.ifindex(name),
        ),
      );
    const first = putInForce(open("moving", 1));
    attach(first, ["va", "vb"]);
    const second = open("moving", 2);
    expect(second.dropOldPanels(() => true)).toEqual([]);
    putInForce(second);
    expect(second.dropOldPanels(() => true)).toEqual([]);
    const pin = join(bench.bpffs, "moving/links/va");
    bench.inNode(() => attachDevice(second.programs.entry, bench.ifindex("va") ?? 0, "ingress", { pin }).close());
    expect(second.dropOldPanels(() => true)).toEqual([]);
    attach(second, ["va", "vb"]);
    expect(second.dropOldPanels(() => true)).toHaveLength(1);
    for (const panel of [first, second]) panel.close();
  });
});
