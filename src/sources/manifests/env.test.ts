import { describe, expect, it } from "vitest";
import type { Pod } from "../../model/objects.ts";
import type { Reader } from "./judge.ts";
import { parseManifests } from "./parse.ts";

const read = (container: object, reader: Reader = "lab") => {
  const metadata = { name: "a", annotations: { bandwidth: "10 mbps egress" } };
  const spec = { containers: [{ name: "c", ...container }] };
  const { objects, problems } = parseManifests(
    JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, spec }),
    "f",
    reader,
  );
  return { pod: objects[0]?.object as Pod | undefined, problems };
};
const env = (valueFrom: unknown, rest: object = {}) => ({ env: [{ name: "A", valueFrom, ...rest }] });

/** Every source of a variable in Kubernetes, with its model. */
const SOURCES: readonly (readonly [string, object, unknown])[] = [
  ["configMapKeyRef", { name: "m", key: "k" }, { kind: "ConfigMap", name: "m", key: "k", optional: false }],
  ["secretKeyRef", { name: "s", key: "k", optional: true }, { kind: "Secret", name: "s", key: "k", optional: true }],
  ["fieldRef", { fieldPath: "metadata.name", apiVersion: "v1" }, { field: "metadata.name" }],
  ["fieldRef", { fieldPath: "metadata.annotations['a/b']" }, { field: "metadata.annotations['a/b']" }],
  ["fieldRef", { fieldPath: "spec.serviceAccountName" }, { field: "spec.serviceAccountName" }],
  ["resourceFieldRef", { resource: "limits.cpu" }, { resource: "limits.cpu", divisor: "1" }],
  [
    "resourceFieldRef",
    { containerName: "c", resource: "requests.memory", divisor: "1Mi" },
    { container: "c", resource: "requests.memory", divisor: "1Mi" },
  ],
  ["resourceFieldRef", { resource: "limits.memory", divisor: 0 }, { resource: "limits.memory", divisor: "0" }],
  ["fileKeyRef", { volumeName: "v", path: "p", key: "k" }, { other: "fileKeyRef" }],
];

describe("variables", () => {
  it.each(SOURCES)("come from a %s: %j", (name, ref, from) => {
    const { pod, problems } = read(env({ [name]: ref }));
    expect([pod?.containers[0]?.env, problems]).toEqual([[{ name: "A", value: "", from }], []]);
  });

  it.each([
    ["configMapRef", "ConfigMap"],
    ["secretRef", "Secret"],
  ])("come from a whole %s", (name, kind) => {
    const { pod, problems } = read({ envFrom: [{ prefix: "P_", [name]: { name: "x", optional: true } }] });
    expect(problems).toEqual([]);
    expect(pod?.containers[0]?.envFrom).toEqual([{ kind, name: "x", prefix: "P_", optional: true }]);
  });

  const NAMES = "configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef, fileKeyRef";
  it.each<[string, object, string]>([
    ["no source", env({}), `env[0].valueFrom: needs one of ${NAMES}`],
    [
      "two sources",
      env({ fieldRef: { fieldPath: "metadata.name" }, secretKeyRef: { name: "s", key: "k" } }),
      "env[0].valueFrom: has secretKeyRef and fieldRef; write one of them",
    ],
    [
      "a value too",
      env({ fieldRef: { fieldPath: "metadata.name" } }, { value: "x" }),
      "env[0]: has value and valueFrom; write one of them",
    ],
    ["a field that is none", env({ fieldRef: { fieldPath: "spec.x" } }), "is not a field that a variable can be taken"],
    [
      "a resource that is none",
      env({ resourceFieldRef: { resource: "cpu" } }),
      "is not a resource that a variable can",
    ],
    ["a whole nothing", { envFrom: [{ prefix: "P_" }] }, "envFrom[0]: needs one of configMapRef, secretRef"],
    [
      "two wholes",
      { envFrom: [{ configMapRef: { name: "a" }, secretRef: { name: "a" } }] },
      "envFrom[0]: has configMapRef and secretRef; write one of them",
    ],
  ])("are refused by a lab with %s, and cost no rule", (_, container, words) => {
    const { pod, problems } = read(container);
    expect([pod, problems.length]).toEqual([undefined, 1]);
    expect(problems.map(({ path, message }) => `${path}: ${message}`)[0]).toContain(words);
    const { pod: ruled, problems: told } = read(container, "agent");
    expect(ruled?.metadata.annotations).toEqual({ bandwidth: "10 mbps egress" });
    expect(told.map(({ severity }) => severity)).toEqual(["warning"]);
  });
});

describe("Secrets", () => {
  const secret = (fields: object) =>
    JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name: "s" }, type: "Opaque", ...fields });

  it("are text; what is not encoded wins", () => {
    const { objects, problems } = parseManifests(
      secret({ data: { a: "aGk=", b: "aGk=" }, stringData: { b: "x" } }),
      "f",
    );
    expect([objects[0]?.object, problems]).toMatchObject([{ kind: "Secret", data: { a: "hi", b: "x" } }, []]);
  });

  it("are refused if they are not encoded", () => {
    expect(parseManifests(secret({ data: { a: "hi!" } }), "f").problems[0]?.message).toBe("must be in base64");
  });

  it("are not read by agents", () => {
    const { objects, problems } = parseManifests(secret({ data: { a: "hi!" } }), "f", "agent");
    expect([objects, problems[0]?.severity, problems[0]?.message]).toEqual([
      [],
      "skipped",
      'Weir does not act on Secret of "v1": skipped',
    ]);
  });
});
