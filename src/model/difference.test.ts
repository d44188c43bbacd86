import { expect, test } from "vitest";
import { differences } from "./difference.ts";

test.each<[string, unknown, unknown, unknown[]]>([
  ["nothing", { a: [1, { b: null }] }, { a: [1, { b: null }] }, []],
  ["the order of keys", { a: 1, b: 2 }, { b: 2, a: 1 }, []],
  ["a value", { spec: { loss: "2%" } }, { spec: { loss: "5%" } }, [{ path: "spec.loss", before: "2%", after: "5%" }]],
  ["a new field", {}, { seed: 0 }, [{ path: "seed", before: undefined, after: 0 }]],
  ["one that is gone", { seed: 0 }, {}, [{ path: "seed", before: 0, after: undefined }]],
  ["a list's item", { a: [1, 2] }, { a: [1, 3] }, [{ path: "a[1]", before: 2, after: 3 }]],
  ["a longer list", { a: [1] }, { a: [1, 3] }, [{ path: "a[1]", before: undefined, after: 3 }]],
  ["another type", { a: { b: 1 } }, { a: [1] }, [{ path: "a", before: { b: 1 }, after: [1] }]],
  ["null", { a: null }, { a: {} }, [{ path: "a", before: null, after: {} }]],
  [
    "an annotation",
    { metadata: { annotations: { bandwidth: "x" } } },
    { metadata: { annotations: { bandwidth: "y" } } },
    [{ path: 'metadata.annotations["bandwidth"]', before: "x", after: "y" }],
  ],
  ["a hostile key", {}, JSON.parse('{"__proto__":1}'), [{ path: '["__proto__"]', before: undefined, after: 1 }]],
])("%s", (_, before, after, expected) => {
  expect(differences(before, after)).toEqual(expected);
});
