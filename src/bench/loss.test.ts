import { expect, test } from "vitest";
import { parseLoss } from "../model/losses.ts";
import { cases } from "./loss.ts";

test("every setting, both ways, same node and across, both families; each is a valid annotation", () => {
  const all = cases(false);
  expect(all).toHaveLength(12 * 8);
  expect(new Set(all.map((one) => JSON.stringify(one))).size).toBe(all.length);
  for (const { setting, direction } of all) {
    expect(parseLoss(setting)).toMatchObject({ ok: true, value: [{ direction }] });
  }
  expect(all.find(({ setting }) => setting === "exponential egress 200")?.expected).toBeCloseTo(0.367879, 6);
});

test("a quick run has each way once", () => {
  const ways = cases(true).map(({ direction, to, family }) => `${direction} ${to} ${family}`);
  expect(ways).toHaveLength(8);
  expect(new Set(ways).size).toBe(8);
});
