import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonPositions } from "./positions.ts";

describe("jsonPositions", () => {
  const TEXT = '{"a": [1, {"b\\"]": "x}"},\n  null],\n "c" : {"d": -1.5e3 , "__proto__": [ ]} }';
  it.each<[PropertyKey[], number, number]>([
    [[], 1, 1],
    [["a"], 1, 7],
    [["a", 0], 1, 8],
    [["a", 1, 'b"]'], 1, 20],
    [["a", 2], 2, 3],
    [["c", "d"], 3, 14],
    [["c", "__proto__"], 3, 36],
    [["c", "none", "below"], 3, 8],
    [["a", "length"], 1, 7],
    [["a", 7], 1, 7],
  ])("%j begins at %i:%i", (path, line, column) => expect(jsonPositions(TEXT)(path)).toEqual({ line, column }));

  it("finds every value of any document", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(4), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const find = jsonPositions(text);
        const lines = text.split("\n");
        for (const [path, item] of values(value)) {
          const { line, column } = find(path);
          const rest = [lines[line - 1]?.slice(column - 1), ...lines.slice(line)].join("\n");
          const shown = JSON.stringify(item);
          expect(rest.startsWith(typeof item === "object" ? shown.charAt(0) : shown)).toBe(true);
        }
      }),
    );
  });
});

function* values(item: unknown, path: readonly PropertyKey[] = []): Generator<[readonly PropertyKey[], unknown]> {
  yield [path, item];
  if (Array.isArray(item)) for (const [index, one] of item.entries()) yield* values(one, [...path, index]);
  else if (typeof item === "object" && item !== null) {
    for (const [key, one] of Object.entries(item)) yield* values(one, [...path, key]);
  }
}
