import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tunnelName } from "./names.ts";

describe("tunnel names", () => {
  test.each([
    ["node-2", /^node-2$/],
    ["n".repeat(48), /^n{48}$/],
    ["n".repeat(49), /^n{35}-[0-9a-f]{12}$/],
    [`${"n".repeat(35)}-0123456789ab`, /^n{35}-(?!0123456789ab)[0-9a-f]{12}$/],
  ])("node %s has tunnel %s", (name, tunnel) => {
    expect(tunnelName(name)).toMatch(tunnel);
  });

  test("every node name gives a unique tunnel name within the limit", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary", maxLength: 253 }), { maxLength: 20 }), (names) => {
        const tunnels = names.map(tunnelName);
        expect(new Set(tunnels).size).toBe(names.length);
        for (const tunnel of tunnels) expect(Buffer.byteLength(`tunnel:${tunnel}`)).toBeLessThan(56);
      }),
    );
  });
});
