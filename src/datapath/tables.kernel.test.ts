import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadObject } from "../kernel/index.ts";
import { KernelTable } from "./kernel-table.ts";
import { MemoryTable, type Table } from "./tables.ts";
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

  test("returns all rows, and counts those that were written or removed", () => {
    const table = open();
    const sorted = () => table.entries().sort(([a], [b]) => a.compare(b));
    const before = table.writes;
    table.write([1, 2, 3].map((id) => [key(id), row(table, 10 * id)]));
    table.write([[key(2), row(table, 21)]]);
    table.remove([key(3)]);
    expect(table.writes - before).toBe(5);
    expect(sorted()).toEqual([
      [key(1), row(table, 10)],
      [key(2), row(table, 21)],
    ]);
    table.remove([key(1), key(2)]);
    expect(table.entries()).toEqual([]);
  });
});
