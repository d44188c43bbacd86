import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAXIMUM_RATE, MINIMUM_RATE, parseBandwidth, parseRateLabel } from "./bandwidth.ts";
import { DEFAULT_RULE_SETTINGS, limitsOf, type PodRules, RULE_KEYS, reduceRules } from "./limits.ts";
import { checkConfigKey, checkLabelName, checkLabelValue, checkQualifiedName, checkSubdomain } from "./names.ts";
import { formatRate, quote } from "./text.ts";

const PRINTABLE = /^[\x20-\x7e…]*$/;
const keys = RULE_KEYS.map((rule) => rule.key);

/** Values from pure noise to nearly right: what a pod's author may write. */
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: "grapheme", maxLength: 80 }),
  fc.constantFrom(
    "$(reboot)",
    "`id`",
    "; rm -rf /",
    "\0",
    "../../etc/passwd",
    "__proto__",
    "1e999",
    "NaN",
    "-0",
    "\u202e10 mbps egress",
  ),
  fc
    .tuple(
      fc.oneof(fc.bigInt(-10n, 10n ** 20n).map(String), fc.double().map(String)),
      fc.constantFrom(" ", "  ", "\t", "\n", "\u00a0", ""),
      fc.constantFrom("bps", "kbits", "mbps", "Mbps", "gbps", "M", "Mi", "m", "k", "", "toString"),
      fc.constantFrom(
        " ingress",
        " egress",
        " both",
        "",
        " ingress egress",
        " egress; 1 mbps ingress",
        " egress, 1 mbps egress",
      ),
    )
    .map((parts) => parts.join("")),
);
const maps = fc.dictionary(fc.oneof(fc.constantFrom(...keys), hostile), hostile, { maxKeys: 6 });
const settings = fc.record({
  bandwidth: fc.boolean(),
  rate: fc.boolean(),
  rateUnit: fc.constantFrom("megabits" as const, "megabytes" as const),
  kubernetes: fc.boolean(),
  calico: fc.boolean(),
  loss: fc.boolean(),
  ebpfLimit: fc.boolean(),
  defaultLease: fc.constant(60),
});
const pod = (annotations: Record<string, string>, labels: Record<string, string>) => ({
  name: "p",
  namespace: "n",
  annotations,
  labels,
});

type Maps = Record<"annotations" | "labels", Record<string, string>>;
const isWritten = (maps: Maps, { key, map }: (typeof RULE_KEYS)[number]) => Object.hasOwn(maps[map], key);

function expectWithinBounds(rules: PodRules): void {
  for (const rule of Object.values(rules.byKey).flat()) {
    expect(Number.isSafeInteger(rule.rate)).toBe(true);
    expect(rule.rate).toBeGreaterThanOrEqual(MINIMUM_RATE);
    expect(rule.rate).toBeLessThanOrEqual(MAXIMUM_RATE);
    expect(rule.configured).toMatch(/^[\x20-\x7e\t]+$/);
  }
}

describe("hostile annotations and labels", { timeout: 60_000 }, () => {
  it("give a rule within bounds or a problem with a printable reason, and never throw", () => {
    fc.assert(
      fc.property(maps, maps, settings, (annotations, labels, given) => {
        const { rules, limits, problems } = reduceRules(undefined, pod(annotations, labels), given);
        expect(limits.length).toBeLessThanOrEqual(2);
        expectWithinBounds(rules);
        for (const { message, path } of problems) {
          expect(`${path} ${message}`).toMatch(PRINTABLE);
          expect(message.length).toBeGreaterThan(10);
        }
        // Each key that is on and written is either a rule or a problem.
        for (const one of RULE_KEYS) {
          const on = one.setting === undefined || given[one.setting];
          const answered =
            Object.hasOwn(rules.byKey, one.key) || problems.some((problem) => problem.path?.includes(`"${one.key}"`));
          expect(answered).toBe(on && isWritten({ annotations, labels }, one));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("keep the last good state until they are gone", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(maps, maps), { maxLength: 8 }), (steps) => {
        let state: PodRules | undefined;
        for (const [annotations, labels] of steps) {
          const before: PodRules["byKey"] = state?.byKey ?? {};
          const next = reduceRules(state, pod(annotations, labels), DEFAULT_RULE_SETTINGS);
          const fresh = reduceRules(undefined, pod(annotations, labels), DEFAULT_RULE_SETTINGS);
          for (const one of RULE_KEYS) {
            const kept = fresh.rules.byKey[one.key] ?? before[one.key];
            expect(next.rules.byKey[one.key]).toEqual(isWritten({ annotations, labels }, one) ? kept : undefined);
          }
          expect(limitsOf(next.rules)).toEqual(next.limits);
          state = next.rules;
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("round trips", () => {
  it("reads every bandwidth rule back as it was written", () => {
    const units = { bps: 1n, kbits: 1000n, mbps: 1_000_000n } as const;
    fc.assert(
      fc.property(
        fc.bigInt(0n, 2n * 10n ** 12n),
        fc.constantFrom("bps", "kbits", "mbps"),
        fc.constantFrom("ingress", "egress"),
        (amount, unit, direction) => {
          const text = `${amount} ${unit} ${direction}`;
          const bits = amount * units[unit];
          const inside = bits >= MINIMUM_RATE && bits <= MAXIMUM_RATE;
          const parsed = parseBandwidth(text);
          expect(parsed.ok).toBe(inside);
          if (parsed.ok) expect(parsed.value).toEqual([{ direction, rate: Number(bits), configured: text }]);
        },
      ),
    );
  });

  it("makes a megabyte eight megabits", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 125_000 }), (n) => {
        const [bits, bytes] = [parseRateLabel(`${n * 8}M`, "megabits"), parseRateLabel(`${n}M`, "megabytes")];
        expect(bits.ok && bits.value[0]?.rate).toBe(n * 8_000_000);
        expect(bytes.ok && bytes.value[0]?.rate).toBe(n * 8_000_000);
      }),
    );
  });

  it("prints rates exactly", () => {
    const scale: Record<string, number> = { bit: 1, kbit: 1e3, Mbit: 1e6, Gbit: 1e9, Tbit: 1e12 };
    fc.assert(
      fc.property(fc.integer({ min: MINIMUM_RATE, max: MAXIMUM_RATE }), (rate) => {
        const [number, unit = ""] = formatRate(rate).split(" ");
        expect(Math.round(Number(number) * (scale[unit.replace("/s", "")] ?? Number.NaN))).toBe(rate);
      }),
    );
  });
});

describe("hostile names", () => {
  const checks = { checkSubdomain, checkLabelName, checkQualifiedName, checkLabelValue, checkConfigKey };
  it.each(Object.entries(checks))("%s lets only safe characters through", (_, check) => {
    fc.assert(
      fc.property(hostile, (value) => {
        const reason = check(value);
        if (reason === undefined) expect(value).toMatch(/^[-A-Za-z0-9_./]*$/);
        else expect(reason).toMatch(PRINTABLE);
      }),
    );
  });

  it("quotes anything into one short printable word", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (value) => {
        expect(quote(value)).toMatch(PRINTABLE);
        expect(quote(value).length).toBeLessThanOrEqual(66 * 6);
      }),
    );
  });
});
