import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadObject } from "../kernel/index.ts";
import { KernelTable } from "./kernel-table.ts";
import { MemoryTable, readRows, rowKey, type Table, writeDifference } from "./tables.ts";
import { Bench, compileObjects } from "./testing/bench.ts";

/** The contract of kernel maps and their in-memory double, tested with the rows of the test function `act`. */
let bench: Bench;
let kernel: KernelTable;
beforeAll(() => {
  bench = new Bench();
  const objects = join(bench.directory, "objects");
  mkdirSync(objects);
  compileObjects(objects);
  const object = loadObject(join(objects, "act.bpf.o"));
  kernel = new KernelTable("weir_act_rows", object.map("weir_act_rows"), () => object.codecs("weir_act_rows"));
});
afterAll(() => bench?.close());

const key = (id: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(id);
  return bytes;
};

describe.each([
  ["the kernel's", (): Table & { writes: number } => kernel],
  ["in memory", (): Table & { writes: number } => new MemoryTable("weir_act_rows", kernel.key, kernel.value)],
])("a table %s", (_, open) => {
  const row = (table: Table, arg: number) => table.value.encode({ verdict: 1, arg, extra: 0, extra2: 0 });

  test("returns written rows, and undefined for a missing one", () => {
    const table = open();
    table.write([[key(1), row(table, 5)]]);
    const found = table.lookup(key(1));
    expect(found && table.value.decode(found)).toMatchObject({ verdict: 1, arg: 5 });
    expect(table.lookup(key(2))).toBeUndefined();
    table.remove([key(1)]);
  });

  test("writing an equal row or removing a missing one succeeds", () => {
    const table = open();
    for (let i = 0; i < 2; i++) table.write([[key(1), row(table, 5)]]);
    expect(table.entries()).toHaveLength(1);
    for (let i = 0; i < 2; i++) table.remove([key(1)]);
    expect(table.entries()).toEqual([]);
  });

  test("only writes the difference", () => {
    const table = open();
    const rows = (args: Record<number, number>) =>
      new Map(Object.entries(args).map(([id, arg]) => [rowKey(key(Number(id))), row(table, arg)]));
    const held = readRows(table);
    expect(writeDifference(table, rows({ 1: 10, 2: 20, 3: 30 }), held)).toBe(3);
    const before = table.writes;
    expect(writeDifference(table, rows({ 1: 10, 2: 21, 4: 40 }), held)).toBe(3); // 2 is changed, 4 is new, 3 is removed
    expect(table.writes - before).toBe(3);
    expect(readRows(table)).toEqual(held);
    expect(writeDifference(table, held, held)).toBe(0);
    expect(writeDifference(table, new Map(), held)).toBe(3);
  });
});
