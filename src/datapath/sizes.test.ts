import { expect, test } from "vitest";
import { MAX_SHAPERS } from "../model/shape.ts";
import { MAX_PORTS, MAX_SLOTS, MAX_TUNNELS } from "./layout.ts";
import { checkSizes, rowsFor } from "./sizes.ts";

test("maps with rows by port or instance scale with the configured ports; others do not", () => {
  const rows = (ports: number) =>
    ["weir_hops", "weir_limits", "weir_rt_routes"].map((map) => rowsFor(map, 8192, { ports }));
  expect(rows(4096)).toEqual([8192, 8192, 8192]);
  expect(rows(16_384)).toEqual([32_768, 32_768, 8192]);
  expect(rows(64)).toEqual([128, 128, 8192]);
});

test.each([0, 15, 16_385, 4096.5, Number.NaN])("a configuration of %s ports is refused", (ports) => {
  expect(() => checkSizes({ ports })).toThrow(/^size panel: /);
});

test("names have room for all ports, instances, functions, shapers and tunnels", () => {
  for (const ports of [64, 4096, MAX_PORTS]) {
    const names = ports + Math.min(65_536, 4 * ports) + MAX_SLOTS + MAX_SHAPERS + MAX_TUNNELS;
    expect(rowsFor("weir_names", 16_384 + 6 * 4096, { ports })).toBeGreaterThanOrEqual(names);
  }
});
