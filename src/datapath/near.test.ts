import { beforeEach, expect, test } from "vitest";
import { Near } from "./near.ts";
import { memoryTable } from "./testing/memory.ts";

/** Row of an ifindex in generation 1. */
const row = (ifindex: number): number => (ifindex % 2048) * 2 + 1;

let table = memoryTable("weir_near");
let near = new Near(table, 1);
const rows = (): Record<number, unknown> =>
  Object.fromEntries(table.entries().map(([key, value]) => [key.readUInt32LE(), table.value.decode(value)]));

beforeEach(() => {
  table = memoryTable("weir_near");
  near = new Near(table, 1);
});

test("a device is in the slot of its low bits, and gone with its port", () => {
  near.set(7, 3);
  expect(rows()).toEqual({ [row(7)]: { ifindex: 7, port: 3 } });
  near.set(7, 4);
  expect(rows()).toEqual({ [row(7)]: { ifindex: 7, port: 4 } });
  near.set(7, undefined);
  expect(rows()).toEqual({});
});

test("the first device of a slot keeps it, and another one does not take it away", () => {
  near.set(7, 3);
  near.set(7 + 2048, 5);
  near.set(7 + 2048, undefined);
  expect(rows()).toEqual({ [row(7)]: { ifindex: 7, port: 3 } });
});

test("what is there already is not written again", () => {
  near.set(7, 3);
  const { writes } = table;
  near.set(7, 3);
  near.reload(new Map([[7, 3]]));
  expect(table.writes).toBe(writes);
});

test("rows that say something else than the devices are put right, those of the other generation left alone", () => {
  const other = new Near(table, 0);
  other.set(7, 9);
  near.set(7, 3);
  near.set(8, 4);
  near.set(9, 5);
  const again = new Near(table, 1);
  const ports = new Map([
    [7, 3],
    [8, 6],
    [10, 8],
  ]);
  again.reload(ports);
  expect(rows()).toEqual({
    [row(7) - 1]: { ifindex: 7, port: 9 },
    [row(7)]: { ifindex: 7, port: 3 },
    [row(8)]: { ifindex: 8, port: 6 },
    [row(10)]: { ifindex: 10, port: 8 },
  });
});
