import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileObject } from "../functions/testing/node.ts";
import { loadObject } from "../kernel/index.ts";
import type { Row } from "../model/document.ts";
import { KernelTable } from "./kernel-table.ts";
import { Names } from "./names.ts";
import { Outcomes } from "./outcomes.ts";
import { RowTable } from "./row-table.ts";
import { memoryTable } from "./testing/memory.ts";

const ROOM = 4;
const MAPS = ["weir_small_hash", "weir_small_trie"] as const;
const directory = mkdtempSync(join(tmpdir(), "weir-rows-"));
const tables = new Map<string, KernelTable>();
beforeAll(() => {
  const path = join(directory, "small.bpf.o");
  compileObject("src/datapath/testdata/small.bpf.c", path);
  const object = loadObject(path);
  for (const name of MAPS) tables.set(name, new KernelTable(name, object.map(name), () => object.codecs(name)));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.each([
  ["a hash", MAPS[0], (n: number) => ({ id: n })],
  ["a trie", MAPS[1], (n: number) => ({ length: 32, address: [10, 0, n >> 8, n & 255] })],
])("a full kernel map: %s", (_what, name, keyOf) => {
  const row = (n: number, value = 1): Row => ({ table: name, key: keyOf(n), value: value as unknown as Row["value"] });

  test("only fails the rows without room: 1,000 others are written with them, and they follow when there is room", () => {
    const outcomes = new Outcomes();
    let now = 0;
    const scope = { names: new Names({ table: memoryTable("weir_names") }), has: () => true, ifindex: () => undefined };
    const table = tables.get(name) as KernelTable;
    const rows = new RowTable(table, scope, outcomes, () => now);
    const take = (n: number, gone = false, value = 1) => rows.take({ owner: `Pod/${n}`, item: row(n, value), gone });
    const pass = () => {
      if (rows.retry.isDue) rows.tryAgain();
      rows.add();
      rows.remove(false);
    };
    const held = () =>
      table
        .entries()
        .map(([, value]) => Number(value.readBigUInt64LE()))
        .toSorted();
    for (let n = 0; n < 1000; n++) take(n);
    pass();
    expect([rows.size, rows.waiting, outcomes.size]).toEqual([ROOM, 1000 - ROOM, 1000 - ROOM]);
    expect(new Set(outcomes.all().map(({ code }) => code))).toEqual(new Set(["full"]));
    expect(outcomes.of("Pod/500")[0]?.message).toMatch(/^write row of .*: update map .*(E2BIG|ENOSPC)/);
    for (let n = 0; n < ROOM; n++) take(n, false, 2); // existing rows can be changed in a full map
    pass();
    expect(held()).toEqual([2, 2, 2, 2]);
    take(0, true);
    take(1, true);
    pass();
    expect([rows.size, rows.waiting, outcomes.size]).toEqual([ROOM, 1000 - ROOM - 2, 1000 - ROOM - 2]);
    const { writes } = table;
    now += 60_000;
    pass();
    expect(table.writes).toBe(writes);
    for (let n = 0; n < 1000; n++) take(n, true);
    pass();
    expect([rows.size, rows.waiting, outcomes.size, held()]).toEqual([0, 0, 0, []]);
  });

  test("a scrub reads no rows if nothing changed, and repairs changed ones", () => {
    const outcomes = new Outcomes();
    const scope = { names: new Names({ table: memoryTable("weir_names") }), has: () => true, ifindex: () => undefined };
    const table = tables.get(name) as KernelTable;
    const rows = new RowTable(table, scope, outcomes, () => 0);
    for (const n of [1, 2, 3]) rows.take({ owner: "Pod/a", item: row(n), gone: false });
    rows.add();
    const [[first]] = table.entries() as [[Buffer, Buffer]];
    for (const damage of [() => table.remove([first]), () => table.map.update(first, Buffer.alloc(8, 9)), () => {}]) {
      damage();
      rows.scrub();
      expect(table.entries().map(([, value]) => Number(value.readBigUInt64LE()))).toEqual([1, 1, 1]);
    }
    for (const n of [1, 2, 3]) rows.take({ owner: "Pod/a", item: row(n), gone: true });
    rows.remove(false);
    expect([table.entries(), outcomes.size]).toEqual([[], 0]);
  });
});
