import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ceiling, parseQuantity } from "./quantity.ts";

const value = (text: string): bigint | string => {
  const parsed = parseQuantity(text);
  return parsed.ok ? ceiling(parsed.value) : parsed.reason;
};

describe("parseQuantity", () => {
  it.each([
    ["0", 0n],
    ["10M", 10_000_000n],
    ["+10M", 10_000_000n],
    ["1Gi", 1_073_741_824n],
    ["512Ki", 524_288n],
    ["1e7", 10_000_000n],
    ["1E7", 10_000_000n],
    ["1.5e+3", 1_500n],
    ["15e-1", 2n],
    ["500k", 500_000n],
    ["1.5G", 1_500_000_000n],
    [".5M", 500_000n],
    ["5.M", 5_000_000n],
    ["1E", 10n ** 18n],
    ["1Ei", 2n ** 60n],
    ["10000000500m", 10_000_001n],
    ["1n", 1n],
    ["-1.5", -1n],
    // A double would give 4.35 × 100 = 434.99999999999994.
    ["4.35e2", 435n],
    ["0.1Ki", 103n],
    ["9007199254740993", 9_007_199_254_740_993n],
  ])("reads %s", (text, expected) => expect(value(text)).toBe(expected));

  it.each([
    "",
    " 1",
    "1 ",
    "M",
    ".",
    "1m5",
    "1e",
    "1e+",
    "1K",
    "1ki",
    "10MB",
    "0x10",
    "1_000",
    "1,5M",
    "--1",
    "١",
    "1e101",
    "NaN",
    "1ee1",
  ])("refuses %j with a reason", (text) => expect(value(text)).toMatch(/^"/));

  it("refuses what would take long to compute", () => {
    expect(value("1e999999999")).toContain("out of range");
    expect(value("9".repeat(65))).toContain("longer than 64");
  });

  it("agrees with a model of exact fractions", () => {
    const suffixes = {
      n: [1n, 10n ** 9n],
      u: [1n, 10n ** 6n],
      m: [1n, 1000n],
      "": [1n, 1n],
      k: [1000n, 1n],
      M: [10n ** 6n, 1n],
    };
    const binary = { Ki: [1024n, 1n], Gi: [1024n ** 3n, 1n], e3: [1000n, 1n], "E-2": [1n, 100n], P: [10n ** 15n, 1n] };
    const all: Record<string, bigint[]> = { ...suffixes, ...binary };
    fc.assert(
      fc.property(
        fc.bigInt(0n, 10n ** 15n),
        fc.integer({ min: 0, max: 12 }),
        fc.constantFrom(...Object.keys(all)),
        (digits, places, suffix) => {
          const text = digits.toString().padStart(places + 1, "0");
          const written = places ? `${text.slice(0, -places)}.${text.slice(-places)}` : text;
          const [up = 1n, down = 1n] = all[suffix] ?? [];
          const numerator = digits * up;
          const denominator = 10n ** BigInt(places) * down;
          expect(value(written + suffix)).toBe((numerator + denominator - 1n) / denominator);
        },
      ),
    );
  });
});
