import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { limitsOf, reduceRules } from "../src/model/limits.ts";
import { parseProgramRules, resolveMacros } from "../src/model/program-rules.ts";
import { readManifests } from "../src/sources/manifests/index.ts";
import { parseList } from "../src/sources/programs/catalog.ts";

const folder = new URL("../examples/", import.meta.url).pathname;

/** Rules by object, as `direction rate`; those of a workload are in its template. */
function rulesIn(file: string): Record<string, string[]> {
  const { objects, problems } = readManifests(`${folder}${file}`);
  expect(problems).toEqual([]);
  const found: Record<string, string[]> = {};
  for (const object of objects) {
    const { name, namespace = "" } = object.metadata;
    const { labels, annotations } = "template" in object ? object.template : object.metadata;
    const reduced = reduceRules(undefined, { name, namespace, labels, annotations });
    const limits = limitsOf(reduced.rules).map((rule) => `${rule.direction} ${rule.rate / 1e6}`);
    const conflicts = reduced.problems.map((one) => `${one.severity} ${one.path}`);
    if (limits.length > 0) found[`${object.kind}/${name}`] = [...limits, ...conflicts];
  }
  return found;
}

it.each([
  ["one-pod.yaml", { "Pod/server": ["ingress 20"] }],
  ["impairments.yaml", {}],
  ["programs.yaml", { "Pod/client": ["egress 10"] }],
  [
    "shop.yaml",
    {
      "Deployment/api": ["ingress 400", "egress 200"],
      "Deployment/web": ["ingress 100", "egress 50"],
      "StatefulSet/db": ["egress 37"],
    },
  ],
  [
    "rules.yaml",
    {
      "Pod/disagreeing": ["egress 50", 'warning metadata.labels["rate"]'],
      "Pod/kubernetes-names": ["ingress 10", "egress 1073.741824"],
      "Pod/label": ["egress 25"],
      "Pod/one-annotation": ["ingress 100", "egress 0.8"],
      "Pod/own-names": ["ingress 1500", "egress 0.5"],
    },
  ],
])("examples/%s is read without problems and has the expected rules", (file, expected) => {
  expect(rulesIn(file)).toEqual(expected);
});

it("every example is tested here", () => {
  expect(readdirSync(folder).sort()).toEqual([
    "impairments.yaml",
    "one-pod.yaml",
    "programs",
    "programs.yaml",
    "rules.yaml",
    "shop.yaml",
  ]);
});

it("the list of programs names every source in its folder, and the rules of the example are for them", () => {
  const programs = `${folder}programs/`;
  const list = parseList(readFileSync(`${programs}programs.yaml`, "utf8"));
  if (!list.ok) throw new Error(list.reason);
  expect(list.value.refused.size).toBe(0);
  const sources = [...list.value.programs.values()].map(({ file }) => file);
  expect(readdirSync(programs).sort()).toEqual(["programs.yaml", ...sources].sort());
  const asked = readManifests(`${folder}programs.yaml`).objects.flatMap(({ metadata }) =>
    parseOrThrow(metadata.annotations["ebpf-limit"] ?? ""),
  );
  expect(asked).toHaveLength(4);
  for (const { program, direction, macros } of asked) {
    const listed = list.value.programs.get(program);
    expect(listed?.directions).toContain(direction);
    expect(resolveMacros(listed?.macros ?? [], macros)).toMatchObject({ ok: true });
  }
});

function parseOrThrow(value: string) {
  const parsed = parseProgramRules(value);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}
