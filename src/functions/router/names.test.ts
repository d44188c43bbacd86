import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodePort } from "./names.ts";

describe("the port of another node", () => {
  test.each([
    ["node-2", /^node-2$/],
    ["host", /^host-[0-9a-f]{12}$/],
    ["overlay", /^overlay-[0-9a-f]{12}$/],
    ["weir0a0a0a0a0a0", /^weir0a0a0a0a0a0-[0-9a-f]{12}$/],
    ["n".repeat(43), /^n{43}$/],
    ["n".repeat(44), /^n{30}-[0-9a-f]{12}$/],
  ])("node %s has port %s", (name, port) => {
    expect(nodePort(name)).toMatch(port);
  });

  test("every name gives a port's name that fits, and no two the same", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary", maxLength: 253 }), { maxLength: 20 }), (names) => {
        const ports = names.map(nodePort);
        expect(new Set(ports).size).toBe(names.length);
        for (const port of ports) expect(Buffer.byteLength(`port:router:${port}`)).toBeLessThan(56);
      }),
    );
  });
});
