import { expect, test } from "vitest";
import { NOBODY, type RuleReceipt, ruleProblems } from "./rule-objects.ts";

const KEY = "Impairment/ns/slow";
const receipt = (rest: Partial<RuleReceipt>): RuleReceipt => ({
  namespace: "ns",
  pod: "a",
  direction: "egress",
  source: KEY,
  state: "active",
  reason: null,
  ...rest,
});

test.each<[string, RuleReceipt[], string[]]>([
  ["in force", [receipt({})], []],
  ["not in force", [receipt({ reason: "no fq" })], ["error ns/a egress: no fq"]],
  [
    "not in force on many",
    [receipt({ reason: "no fq" }), receipt({ pod: "b", reason: "no fq" }), receipt({ reason: "gone" })],
    ["error ns/a egress and 1 more: no fq", "error ns/a egress: gone"],
  ],
  ["that selects nobody", [receipt({ reason: NOBODY, state: "not enforced" })], [`warning ns/a egress: ${NOBODY}`]],
  [
    "that others come before",
    [receipt({ reason: "overruled: Pod/ns/a comes first", overruledBy: "Pod/ns/a" })],
    ["warning ns/a egress: overruled: Pod/ns/a comes first"],
  ],
  ["that is over", [receipt({ reason: "it is over", state: "expired" })], ["warning ns/a egress: it is over"]],
  [
    "of which no agent knows",
    [receipt({ source: "Impairment/ns/other" })],
    ["warning no pod here follows it: none that it chooses is on this node"],
  ],
])("a rule %s", (_, receipts, expected) => {
  const told = ruleProblems([KEY, "Pod/ns/a"], receipts);
  expect(told.map(({ severity, message }) => `${severity} ${message}`)).toEqual(expected);
  expect(told.every(({ object }) => object === KEY)).toBe(true);
});
