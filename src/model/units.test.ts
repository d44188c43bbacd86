import { describe, expect, test } from "vitest";
import { formatDuration, formatPercent, parseDuration, parsePercent } from "./units.ts";

describe("percentages", () => {
  test.each([
    ["0%", 0],
    ["2%", 0.02],
    ["0.001%", 0.00001],
    ["99.999999%", 0.99999999],
    ["100%", 1],
    ["100.000000%", 1],
    ["002%", 0.02],
  ])("%s", (text, expected) => {
    const parsed = parsePercent(text);
    expect(parsed.ok && parsed.value).toBeCloseTo(expected, 12);
  });
  test.each([
    "",
    "2",
    "%",
    "-1%",
    "101%",
    "100.000001%",
    "1e1%",
    ".5%",
    "2 %",
    "2%%",
    "٢%",
    "NaN%",
    "0x2%",
    "1.0000001%",
    " 2%",
  ])("%j is refused", (text) => {
    expect(parsePercent(text).ok).toBe(false);
  });
  test.each([0, 0.02, 0.00001, 0.5, 1])("%d is formatted as text that parses to it", (probability) => {
    const parsed = parsePercent(formatPercent(probability));
    expect(parsed.ok && parsed.value).toBeCloseTo(probability, 12);
  });
});

describe("durations", () => {
  test.each([
    ["50ms", 50e6],
    ["1.5s", 1.5e9],
    ["1h30m", 5400e9],
    ["10us", 10e3],
    ["0s", 0],
    ["8760h", 8760 * 3600e9],
  ])("%s", (text, expected) => {
    const parsed = parseDuration(text);
    expect(parsed.ok && parsed.value).toBe(expected);
  });
  test.each(["", "50", "ms", "-1s", "1 s", "1e3s", "8761h", "9999999999s", "1s;", "1d", "s1", `${"1s".repeat(40)}`])(
    "%j is none",
    (text) => {
      expect(parseDuration(text).ok).toBe(false);
    },
  );
  test.each([50e6, 1.5e9, 10e3, 60e9])("%d ns is formatted as text that parses to it", (ns) => {
    const parsed = parseDuration(formatDuration(ns));
    expect(parsed.ok && parsed.value).toBe(ns);
  });
});
