import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lossProbability } from "./impair.ts";
import { parseLoss } from "./losses.ts";

describe("the annotation loss", () => {
  test.each([
    ["uniform egress 2%", [["egress", 0.02]]],
    ["uniform ingress 0.001%", [["ingress", 0.00001]]],
    ["exponential ingress 300", [["ingress", Math.exp(-1.5)]]],
    ["exponential egress 0", [["egress", 1]]],
    ["exponential egress 1000", [["egress", Math.exp(-5)]]],
    [
      " uniform  egress\t2% ; exponential ingress 5 ",
      [
        ["egress", 0.02],
        ["ingress", Math.exp(-0.025)],
      ],
    ],
  ] as const)("%s", (text, expected) => {
    const parsed = parseLoss(text);
    const found = parsed.ok ? parsed.value.map(({ direction, loss }) => [direction, lossProbability(loss)]) : [];
    expect(found).toEqual(expected.map(([direction, p]) => [direction, expect.closeTo(p, 12)]));
  });

  test.each([
    ["", "is not a rule"],
    ["uniform egress", "is not a rule"],
    ["uniform egress 2% 3%", "is not a rule"],
    ["uniform both 2%", 'the direction "both"'],
    ["uniform egress 2", "is no percentage"],
    ["exponential egress 2%", "is no threshold"],
    ["exponential egress 1001", "is no threshold"],
    ["exponential egress -1", "is no threshold"],
    ["normal egress 2%", "is no model of loss"],
    ["uniform egress 1%; uniform egress 2%", "gives egress twice"],
    ["x".repeat(300), "longer than 256"],
    ["__proto__ egress 2%", "is no model of loss"],
  ])("%j is refused", (text, reason) => {
    const parsed = parseLoss(text);
    expect(parsed.ok ? "" : parsed.reason).toContain(reason);
  });

  test("whatever the text, a probability or a printable reason", () => {
    const word = fc.oneof(
      fc.constantFrom("uniform", "exponential", "egress", "ingress", "2%", "300", ";", " "),
      fc.string(),
    );
    fc.assert(
      fc.property(
        fc.array(word).map((words) => words.join(" ")),
        (text) => {
          const parsed = parseLoss(text);
          if (!parsed.ok) expect(parsed.reason).toMatch(/^[\x20-\x7e…]+$/);
          else for (const { loss } of parsed.value) expect(lossProbability(loss)).toBeGreaterThanOrEqual(0);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
