import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { reduceFile } from "./merge.ts";
import { parseManifests } from "./parse.ts";

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {rate: 10M}
  annotations: {bandwidth: 10 mbps egress}
spec:
  containers:
    - {name: main, command: [sleep, infinity], env: [{name: A, value: "1"}]}
`;

/** Text of tokens that are special in YAML. */
const noise = fc
  .array(
    fc.constantFrom(
      ..."-:?[]{},#&*!|>'\"%@`~ \t\n",
      "a",
      "b: ",
      "- ",
      "---\n",
      "<<: ",
      "&x ",
      "*x",
      "!!binary ",
      "\0",
      "\u0085",
      "💥",
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(""));

const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "binary", maxLength: 10 }),
    fc.constantFrom(null, true, 0, -1, 1e300, "", "__proto__", "web", "v1", "Always"),
    fc.array(tie("node"), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom("name", "labels", "annotations", "containers", "__proto__", "constructor", "spec", "toString"),
      tie("node"),
      { maxKeys: 4 },
    ),
  ),
})).node;

/** Checks that parsing never throws, accepted names are valid for the API server, and messages are printable. */
function check(text: string): ReturnType<typeof parseManifests> {
  const parsed = parseManifests(text, "f.yaml");
  for (const { key, object, at } of parsed.objects) {
    expect(key).toMatch(/^[A-Za-z]+(\/[a-z0-9][-a-z0-9.]*){1,2}$/);
    expect(at).toMatch(/^f\.yaml:\d+:\d+$/);
    for (const text of Object.values(object.metadata.annotations)) expect(typeof text).toBe("string");
  }
  for (const { object, path = "", message, at } of parsed.problems) {
    expect(`${object} ${path} ${message} ${at}`).toMatch(/^[\x20-\x7e…]+$/);
    expect(at).toMatch(/^f\.yaml:\d+:\d+$/);
  }
  return parsed;
}

// parsing thousands of documents takes long on a busy machine
describe("parseManifests", { timeout: 60_000 }, () => {
  it("parses random text without throwing", () => {
    fc.assert(
      fc.property(noise, (text) => void check(text)),
      { numRuns: 500 },
    );
  });

  it("parses a manifest with random changes, and keeps the last valid state of its objects unless they are removed", () => {
    const good = reduceFile(undefined, parseManifests(POD, "f.yaml"));
    fc.assert(
      fc.property(fc.nat(POD.length), fc.nat(20), noise, (at, cut, text) => {
        const broken = POD.slice(0, at) + text + POD.slice(at + cut);
        const parsed = check(broken);
        const next = reduceFile(good, parsed);
        if (!parsed.complete || parsed.refused.has("Pod/default/web")) {
          expect(next.objects.map((one) => one.key)).toContain("Pod/default/web");
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each(["Pod", "Deployment", "Job", "CronJob", "Node", "ConfigMap", "Namespace", "List"])(
    "survives a %s of any shape, as JSON and as YAML",
    (kind) => {
      const apiVersion = { Deployment: "apps/v1", Job: "batch/v1", CronJob: "batch/v1" }[kind] ?? "v1";
      fc.assert(
        fc.property(value, value, value, (metadata, spec, data) => {
          const object = { apiVersion, kind, metadata, spec, data, items: [data], status: spec };
          const fromJson = check(JSON.stringify(object));
          const fromYaml = check(stringify(JSON.parse(JSON.stringify(object)), { aliasDuplicateObjects: false }));
          expect(fromYaml.objects.map((one) => one.object)).toEqual(fromJson.objects.map((one) => one.object));
        }),
        { numRuns: 100 },
      );
    },
  );

  it("reads any annotation value back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
        const object = {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name: "a", annotations: { note: text } },
          spec: { containers: [{ name: "c" }] },
        };
        const parsed = check(stringify(object));
        expect(parsed.objects[0]?.object.metadata.annotations).toEqual({ note: text });
      }),
    );
  });
});
