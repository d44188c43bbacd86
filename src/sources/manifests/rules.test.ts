import { expect, test } from "vitest";
import { parseManifests } from "./parse.ts";
import { NEARLY, REFUSED, TAKEN } from "./testing/rule-cases.ts";

const problems = (kind: string, spec: object) => {
  const object = { apiVersion: "weir.dev/v1alpha1", kind, metadata: { name: "x" }, spec };
  return parseManifests(JSON.stringify(object), "f.yaml").problems.map(({ path, message }) => `${path}: ${message}`);
};

test.each(REFUSED)("%s %j is refused with its field", (kind, spec, expected) => {
  const found = problems(kind, spec);
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(expected);
});

test.each(NEARLY)("%s %j: %s %s", (kind, spec, path, said) => {
  const found = problems(kind, spec);
  expect(found).toHaveLength(1);
  expect(found[0]?.startsWith(`${path}: `)).toBe(true);
  expect(found[0]?.endsWith(said)).toBe(true);
});

test.each(TAKEN)("%s %j is taken", (kind, spec) => {
  expect(problems(kind, spec)).toEqual([]);
});
