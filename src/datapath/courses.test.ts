import { expect, test } from "vitest";
import { Courses } from "./courses.ts";
import { memoryTable } from "./testing/memory.ts";

const ROWS = 64;
const none: ReadonlySet<number> = new Set();
const open = (table = memoryTable("weir_courses"), inForce = none) => new Courses(table, ROWS, inForce);

test("a chain without functions has course 0 and no row", () => {
  const table = memoryTable("weir_courses");
  const courses = open(table);
  expect([courses.take(1, []), courses.take(2, []), table.writes]).toEqual([0, 0, 0]);
});

test("equal functions in one chain have the same course, also after a restart", () => {
  const table = memoryTable("weir_courses");
  const courses = open(table);
  const [one, other] = [courses.take(1, [5, 6]), courses.take(2, [5, 6])];
  expect(other).not.toBe(one);
  expect(courses.take(1, [6, 5])).not.toBe(one);
  const writes = table.writes;
  courses.giveUp(one);
  expect([courses.take(1, [5, 6]), courses.take(2, [5, 6])]).toEqual([one, other]);
  const next = open(table, new Set([one]));
  expect([next.take(2, [5, 6]), next.take(1, [5, 6])]).toEqual([other, one]);
  expect(table.writes).toBe(writes);
});

test("a row holds the chain and its functions", () => {
  const table = memoryTable("weir_courses");
  open(table).take(3, [5, 6]);
  const rows = table.entries().map(([, value]) => table.value.decode(value));
  expect(rows).toEqual([{ chain: 3, instance: [5, 6, ...Array(13).fill(0)] }]);
});

test("a released id is reused last, and one in force is never reused", () => {
  const courses = open();
  const fixed = courses.take(1, [1]);
  const seen: number[] = [];
  for (let n = 1; n <= 3 * ROWS; n++) {
    const id = courses.take(2, [n]);
    seen.push(id);
    courses.giveUp(id);
  }
  const window = ROWS - 2; // all ids except 0 and the fixed one
  expect(seen).not.toContain(fixed);
  expect(new Set(seen.slice(0, window)).size).toBe(window);
  expect(seen.slice(window, 2 * window)).toEqual(seen.slice(0, window));
});

test("ids in force when an agent starts are not allocated again", () => {
  const table = memoryTable("weir_courses");
  const old = open(table).take(1, [1]);
  const courses = open(table, new Set([old]));
  const others = Array.from({ length: ROWS - 2 }, (_, n) => courses.take(2, [n + 1]));
  expect(others).not.toContain(old);
  expect(() => courses.take(3, [1])).toThrow("allocate course: all 63 are in force");
  courses.giveUp(old);
  expect(courses.take(3, [1])).toBe(old);
});
