import { expect, test } from "vitest";
import { caseName } from "./limit-case.ts";
import { selectCases } from "./matrix.ts";

test("the whole matrix has every rate under every load, each once", () => {
  const names = selectCases(false, []).map(caseName);
  expect(names).toHaveLength(10 * 5 * 2 * 2 * 2);
  expect(new Set(names).size).toBe(names.length);
});

test("words choose cases by whole words of their names", () => {
  const names = selectCases(false, ["1M", "ingress", "ipv6"]).map(caseName);
  expect(names).toHaveLength(10);
  expect(names.every((name) => /^1M ingress (same|across) ipv6 /.test(name))).toBe(true);
  expect(selectCases(false, ["nothing"])).toEqual([]);
});
