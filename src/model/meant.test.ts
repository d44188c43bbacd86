import fc from "fast-check";
import { expect, test } from "vitest";
import { parseCidr } from "./addresses.ts";
import { parseBandwidth, parseRate, parseRateLabel } from "./bandwidth.ts";
import { parseLoss } from "./losses.ts";
import { parseProgramRules } from "./program-rules.ts";
import type { Result } from "./text.ts";
import { parseDuration, parsePercent } from "./units.ts";

const said = (result: Result<unknown>): string => (result.ok ? "taken" : result.reason);
const guess = (result: Result<unknown>): string | undefined => /\(did you mean "(.*)"\?\)$/.exec(said(result))?.[1];

test.each([
  ["10 Mbps egress", "10 mbps egress"],
  ["10mbps egress", "10 mbps egress"],
  ["10 mbit/s egress", "10 mbps egress"],
  ["egress 10 mbps", "10 mbps egress"],
  ["10 mbps out", "10 mbps egress"],
  ["10 mbps igress", "10 mbps ingress"],
  ["10 mbps download", "10 mbps ingress"],
  ["1.5 mbps egress", "1500 kbits egress"],
  ["1 gbps egress", "1000 mbps egress"],
  ["10M", "10 mbps egress"],
  ["10 MB egress", undefined],
  ["fast egress", undefined],
  ["", undefined],
])("bandwidth %j is meant as %j", (text, meant) => {
  expect(guess(parseBandwidth(text))).toBe(meant);
});

test.each([
  ["10m", "10M"],
  ["10", "10M"],
  ["10Mbit", "10M"],
  ["10 mbps", "10M"],
  ["10 mbps egress", "10M"],
  ["100K", "100k"],
  ["1,5G", "1.5G"],
  ["2gb", "2G"],
  ["10MB", undefined],
  ["9999T", undefined],
  ["0", undefined],
])("rate %j is meant as %j", (text, meant) => {
  expect(guess(parseRate(text))).toBe(meant);
});

test("a label's rate has one suffix", () => {
  expect(guess(parseRateLabel("10m", "megabits"))).toBe("10M");
  expect(guess(parseRateLabel("10k", "megabits"))).toBeUndefined();
});

test.each([
  ["2%", "uniform egress 2%"],
  ["2% in", "uniform ingress 2%"],
  ["uniform egress 2", "uniform egress 2%"],
  ["egress uniform 2 %", "uniform egress 2%"],
  ["unifrom egress 2%", "uniform egress 2%"],
  ["300 exponential egress", "exponential egress 300"],
  ["random egress 2%", undefined],
])("loss %j is meant as %j", (text, meant) => {
  expect(guess(parseLoss(text))).toBe(meant);
});

test.each([
  ["egress drop", "drop egress"],
  ["Drop_One egress", "drop-one egress"],
  ["drop out", "drop egress"],
  ["drop egress N=1", "drop egress -DN=1"],
  ["drop egress -D N=1", "drop egress -DN=1"],
  ["drop egress -DN", undefined],
  ["drop", undefined],
])("program %j is meant as %j", (text, meant) => {
  expect(guess(parseProgramRules(text))).toBe(meant);
});

test.each([
  ["5", "5%"],
  ["5 %", "5%"],
  ["5,5%", "5.5%"],
  ["5 percent", "5%"],
  ["105", undefined],
  ["much", undefined],
])("percentage %j is meant as %j", (text, meant) => {
  expect(guess(parsePercent(text))).toBe(meant);
});

test("a share is told from a percentage by nobody: both are shown", () => {
  expect(said(parsePercent("0.05"))).toBe('"0.05" is no percentage; write "5%" or "0.05%"');
});

test.each([
  ["50", "50ms", "50ms"],
  ["3", "30s", "3s"],
  ["5min", "30s", "5m"],
  ["1.5 Hours", "30s", "1.5h"],
  ["2 days", "30s", "48h"],
  ["50 msec", "30s", "50ms"],
  ["soon", "30s", undefined],
  ["-5s", "30s", undefined],
])("duration %j where %s is usual is meant as %j", (text, example, meant) => {
  expect(guess(parseDuration(text, example))).toBe(meant);
});

test.each([
  ["10.244.2.2", '"10.244.2.2/32"'],
  ["fd00::1", '"fd00::1/128"'],
  ["10.244.2.2/24", "10.244.2.0/24 is the network"],
])("network %j: %s", (text, right) => {
  expect(said(parseCidr(text))).toContain(right);
});

test("whatever the text, a refusal is short and printable, and so is a guess", () => {
  const word = fc.constantFrom("10", "mbps", "M", "5%", "egress", "in", "uniform", "-D", "N=1", "-", ",", "drop", "B");
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 400 }),
    fc.array(fc.oneof(word, fc.string({ maxLength: 3 })), { maxLength: 9 }).map((words) => words.join(" ")),
  );
  const parsers = [parseBandwidth, parseRate, parseLoss, parseProgramRules, parsePercent, parseDuration, parseCidr];
  fc.assert(
    fc.property(text, fc.constantFrom(...parsers), (value, parse) => {
      expect(said(parse(value))).toMatch(/^[\x20-\x7e…]{1,700}$/);
    }),
    { numRuns: 2000 },
  );
});
