import { describe, expect, test } from "vitest";
import type { ImpairRule } from "./impair.ts";
import type { LimitRule } from "./limits.ts";
import { type Candidate, chooseImpairments, chooseLimits, RANK } from "./precedence.ts";

const COUNT = 40;
const named = <T>(index: number, rule: T): Candidate<T> => ({
  rank: RANK.object,
  object: `Limit/ns/${String(index).padStart(2, "0")}`,
  path: "spec",
  rule,
});
const limits = Array.from({ length: COUNT }, (_, index) =>
  named<LimitRule>(index, { direction: "egress", rate: 1e6 + index, source: "x", configured: "" } as LimitRule),
);
const impairments = Array.from({ length: COUNT }, (_, index) =>
  named<ImpairRule>(index, {
    ...{ id: `${index}`, direction: "egress", source: "x", configured: "", match: {} },
    effects: { duplicate: (index + 1) / 100 },
    exempt: { probes: true, dns: true },
  }),
);

describe("of many rules of the same rank", () => {
  test.each<
    readonly [string, () => { rules: readonly unknown[]; overruled: readonly unknown[]; problems: readonly object[] }]
  >([
    ["limits", () => chooseLimits([...limits])],
    ["impairments", () => chooseImpairments([...impairments])],
  ])("%s: the first by name is in force, both of each conflict are told, and pods share the result", (_, choose) => {
    const first = choose();
    expect([first.rules.length, first.overruled.length]).toEqual([1, COUNT - 1]);
    expect(first.problems).toHaveLength(2 * (COUNT - 1));
    expect(choose()).toBe(first);
  });
});

test("one candidate more gives another result", () => {
  const [winner] = chooseLimits(limits.slice(1)).rules;
  expect(winner).toBe(limits[1]?.rule);
  expect(chooseLimits(limits).rules).toEqual([limits[0]?.rule]);
});
