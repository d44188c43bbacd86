import { expect, test } from "vitest";
import { Courses } from "./courses.ts";
import { COURSES, firstHop, type Hop } from "./layout.ts";
import { memoryTable } from "./testing/memory.ts";

/** A port's ingress chain of these instances, and its end. */
const chain = (port: number, ...instances: number[]): [number, Hop][] =>
  [...instances, 9999].map((instance, at) => [
    firstHop(port, "ingress") + at,
    { op: "call", slot: 1, instance, port, target: 0 },
  ]);
const hops = (...chains: [number, Hop][][]) => new Map(chains.flat());
const at = (port: number) => firstHop(port, "ingress");

test("a chain without functions has course 0, and no row", () => {
  const table = memoryTable("weir_courses");
  const { courses, written } = new Courses(table, []).assign(hops(chain(1), chain(2)));
  expect([...courses.values(), written, table.writes]).toEqual([0, 0, 0, 0]);
});

test("the same functions in the same chain are one course, for the next agent too", () => {
  const table = memoryTable("weir_courses");
  const courses = new Courses(table, []);
  const first = courses.assign(hops(chain(1, 5, 6), chain(2, 5, 6))).courses;
  expect(new Set(first.values()).size).toBe(2);
  expect(courses.assign(hops(chain(1, 6, 5), chain(2, 5, 6))).courses.get(at(1))).not.toBe(first.get(at(1)));
  expect(courses.assign(hops(chain(1, 5, 6), chain(2, 5, 6)))).toEqual({ courses: first, written: 0 });
  expect(new Courses(table, []).assign(hops(chain(2, 5, 6), chain(1, 5, 6)))).toEqual({ courses: first, written: 0 });
});

test("a row says the chain and its functions", () => {
  const table = memoryTable("weir_courses");
  new Courses(table, []).assign(hops(chain(3, 5, 6)));
  const rows = table.entries().map(([, value]) => table.value.decode(value));
  expect(rows).toEqual([{ first: at(3), instance: [5, 6, 0, 0, 0, 0, 0] }]);
});

test("an id that was given up comes back last, and one in force never", () => {
  const courses = new Courses(memoryTable("weir_courses"), []);
  const fixed = courses.assign(hops(chain(1, 1))).courses.get(at(1));
  const seen: (number | undefined)[] = [];
  for (let n = 0; n < 2 * COURSES; n++) {
    const now = courses.assign(hops(chain(1, 1), chain(2, (n % 16000) + 1, Math.floor(n / 16000) + 1))).courses;
    expect(now.get(at(1))).toBe(fixed);
    seen.push(now.get(at(2)));
  }
  const window = COURSES - 2; // all but 0 and the fixed one
  expect(new Set(seen.slice(0, window)).size).toBe(window);
  expect(seen.slice(window, window + 100)).toEqual(seen.slice(0, 100));
});

test("ids in force when an agent starts are taken last of all", () => {
  const table = memoryTable("weir_courses");
  const before = new Courses(table, []);
  const old = before.assign(hops(chain(1, 1))).courses.get(at(1)) ?? 0;
  const courses = new Courses(table, [old]);
  for (let n = 0; n < COURSES - 2; n++) {
    expect(courses.assign(hops(chain(1, 2, (n % 16000) + 1, 1 + Math.floor(n / 16000)))).courses.get(at(1))).not.toBe(
      old,
    );
  }
});
