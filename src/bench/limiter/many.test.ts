import { expect, test } from "vitest";
import { judgeCpu, parseBusy } from "./cpu.ts";
import { judgeMany } from "./many.ts";

test("busy ticks are all but idle, waiting and stolen ones", () => {
  expect(parseBusy("cpu  100 20 30 9000 500 6 7 800 0 0\ncpu0 1 2 3")).toBe(163);
});

test("a ratio holds if its upper bound does", () => {
  const pairs = (ratio: number): [number, number][] => [1, 2, 3].map((i) => [ratio * (1000 + i), 1000 + i]);
  expect(judgeCpu({ name: "one", pairs: pairs(1.05) }).verdict).toBe("holds");
  expect(judgeCpu({ name: "one", pairs: pairs(1.15) }).verdict).toBe("misses");
});

test("an edit that is never seen misses, and so does a limit that is not in force", () => {
  const edit = (ms: number | null) => ({ direction: "ingress" as const, rate: 1, ms });
  const verdicts = (edits: (number | null)[], inForce: number) =>
    judgeMany(2, edits.map(edit), inForce, [1e6]).map(({ verdict }) => verdict);
  expect(verdicts([100, 200], 4)).toEqual(["holds", "holds", "shown"]);
  expect(verdicts([100, null], 4)).toEqual(["holds", "misses", "shown"]);
  expect(verdicts([100, 200], 3)).toEqual(["misses", "holds", "shown"]);
});
