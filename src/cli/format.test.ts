import { expect, test } from "vitest";
import { formatRate, printable } from "./format.ts";

test.each([
  [null, "-"],
  [0, "0 bit/s"],
  [999, "999 bit/s"],
  [1000, "1 kbit/s"],
  [1500, "1.5 kbit/s"],
  [999_960, "1 Mbit/s"],
  [9_987_654.32, "9.988 Mbit/s"],
  [10_000_000, "10 Mbit/s"],
  [123_456_789, "123.5 Mbit/s"],
  [5_000_000_000, "5 Gbit/s"],
  [1e12, "1 Tbit/s"],
])("%j bit/s is %j", (bits, text) => {
  expect(formatRate(bits)).toBe(text);
});

test.each([
  ["plain ü → 漢", "plain ü → 漢"],
  ["a\nb", "a\\nb"],
  ["\u001b[2J", "\\u{1b}[2J"],
  ["\u202etxt", "\\u{202e}txt"],
  ["\u0000\u007f\u009b", "\\u{0}\\u{7f}\\u{9b}"],
])("%j is shown as %j", (text, shown) => {
  expect(printable(text)).toBe(shown);
});
