import { expect, test } from "vitest";
import type { Problem } from "../model/problem.ts";
import type { Logger } from "./log.ts";
import { Report } from "./report.ts";

function bench() {
  const lines: string[] = [];
  const warn = ({ object }: { object: string }, text: string) => lines.push(`${object}: ${text}`);
  const info = (text: string) => lines.push(text);
  const report = new Report({ warn, info } as unknown as Logger);
  return (failures: Problem[], warnings: Problem[] = []) => {
    report.standing(failures, warnings);
    return lines.splice(0);
  };
}
const of = (object: string, message = "full"): Problem => ({ object, message });

test("a further failure adds one line, whatever else is not in force", () => {
  const told = bench();
  const many = Array.from({ length: 1000 }, (_, index) => of(`Pod/ns/p${index}`));
  expect(told(many)).toHaveLength(1000);
  expect(told([...many, of("Pod/ns/last")])).toEqual(["Pod/ns/last: not in force; trying again"]);
  expect(told(many.slice(1))).toEqual([]);
  expect(told(many)).toEqual(["Pod/ns/p0: not in force; trying again"]);
});

test("the end of all failures is logged once, also at the start", () => {
  const told = bench();
  expect(told([])).toEqual(["everything is in force"]);
  expect(told([])).toEqual([]);
  expect(told([of("Pod/ns/a"), of("Pod/ns/a")])).toEqual(["Pod/ns/a: not in force; trying again"]);
  expect(told([of("Pod/ns/a", "another reason")])).toEqual(["Pod/ns/a: not in force; trying again"]);
  expect([told([]), told([])]).toEqual([["everything is in force"], []]);
});

test("a degraded item is logged once, and again if it recurs", () => {
  const told = bench();
  told([]);
  const line = "Node/n: in force, but not as good as it should be";
  expect([told([], [of("Node/n")]), told([], [of("Node/n")])]).toEqual([[line], []]);
  expect([told([], []), told([], [of("Node/n")])]).toEqual([[], [line]]);
});
