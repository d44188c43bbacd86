import { expect, test } from "vitest";
import { judgeCpu, parseTicks, type Turn } from "./cpu.ts";
import { judgeMany } from "./many.ts";

test("busy ticks are all except idle, iowait and steal", () => {
  expect(parseTicks("cpu  100 20 30 9000 500 6 7 800 0 0\ncpu0 1 2 3")).toEqual({ busy: 163, all: 10_463 });
});

test("a ratio holds if its upper bound does; on a machine that is always busy it is only shown", () => {
  const turn = (cost: number, busy: number) => ({ cost, busy });
  const verdict = (ratio: number, busy = 0.6) => {
    const pairs = [1, 2, 3].map((i): [Turn, Turn] => [turn(ratio * (1000 + i), busy), turn(1000 + i, 0.5)]);
    return judgeCpu({ name: "one", pairs }).verdict;
  };
  expect([verdict(1.05), verdict(1.15), verdict(1, 0.99)]).toEqual(["holds", "misses", "shown"]);
});

test("an edit without effect misses, and so does a limit that is not in force", () => {
  const edit = (ms: number | null) => ({ direction: "ingress" as const, rate: 1, ms });
  const verdicts = (edits: (number | null)[], inForce: number) =>
    judgeMany(2, edits.map(edit), inForce, [1e6]).map(({ verdict }) => verdict);
  expect(verdicts([100, 200], 4)).toEqual(["holds", "holds", "shown"]);
  expect(verdicts([100, null], 4)).toEqual(["holds", "misses", "shown"]);
  expect(verdicts([100, 200], 3)).toEqual(["misses", "holds", "shown"]);
});
