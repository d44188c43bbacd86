import { describe, expect, it } from "vitest";
import { parseManifests } from "./parse.ts";

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    bandwidth: 10 mbps egress
spec:
  nodeName: node-1
  containers:
    - name: main
      command: [sleep, infinity]
`;
const parse = (text: string) => parseManifests(text, "f.yaml");
const problems = (text: string) =>
  parse(text).problems.map((one) => `${one.at} ${one.object} ${one.path ?? ""}: ${one.message}`);

describe("kinds", () => {
  it("reads a Pod", () => {
    expect(parse(POD)).toEqual({
      objects: [
        {
          key: "Pod/default/web",
          at: "f.yaml:1:1",
          object: {
            kind: "Pod",
            metadata: { name: "web", namespace: "default", labels: {}, annotations: { bandwidth: "10 mbps egress" } },
            nodeName: "node-1",
            hostNetwork: false,
            restartPolicy: "Always",
            containers: [{ name: "main", command: ["sleep", "infinity"], args: [], env: [] }],
          },
        },
      ],
      problems: [],
      refused: new Set(),
      complete: true,
    });
  });

  it.each([
    ["left out", "kind: Pod\nmetadata: {namespace: x}\nspec: {containers: [{name: c}]}\n"],
    ["null", "kind: Pod\nmetadata: {name: null}\nspec: {containers: [{name: c}]}\n"],
  ])("says that a name is required: %s", (_, text) =>
    expect(problems(`apiVersion: v1\n${text}`)[0]).toMatch(/metadata\.name: (is required|has no value; write text)$/),
  );

  const template = (policy: string) => ({
    metadata: { labels: { app: "a" }, annotations: { bandwidth: "1 mbps egress" } },
    spec: { restartPolicy: policy, containers: [{ name: "c", env: [{ name: "A", value: "b" }] }] },
  });
  const selector = { matchLabels: { app: "a" } };
  it.each([
    ["Deployment", "apps/v1", { selector, replicas: 3, template: template("Always") }, { replicas: 3 }],
    ["ReplicaSet", "apps/v1", { selector, template: template("Always") }, { replicas: 1 }],
    [
      "StatefulSet",
      "apps/v1",
      { selector, ordinals: { start: 2 }, template: template("Always") },
      { replicas: 1, start: 2 },
    ],
    ["DaemonSet", "apps/v1", { selector, template: template("Always") }, {}],
    [
      "Job",
      "batch/v1",
      { completions: 4, template: template("Never") },
      { completions: 4, parallelism: 1, backoffLimit: 6 },
    ],
    [
      "CronJob",
      "batch/v1",
      { schedule: "*/5 * * * *", jobTemplate: { spec: { template: template("OnFailure") } } },
      { schedule: "*/5 * * * *", history: 3, concurrencyPolicy: "Allow" },
    ],
  ])("reads a %s", (kind, apiVersion, spec, expected) => {
    const { objects, problems: found } = parse(
      JSON.stringify({ apiVersion, kind, metadata: { name: "x", namespace: "n" }, spec }),
    );
    expect(found).toEqual([]);
    expect(objects[0]?.object).toMatchObject({
      kind,
      metadata: { name: "x", namespace: "n" },
      template: {
        labels: { app: "a" },
        annotations: { bandwidth: "1 mbps egress" },
        spec: { containers: [{ name: "c" }] },
      },
      ...expected,
    });
  });

  it("reads a Node, a Namespace and a ConfigMap in a List", () => {
    const text = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: {name: node-1}
  spec: {podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}
  status: {addresses: [{type: Hostname, address: node-1}, {type: InternalIP, address: 192.168.0.1}, {type: InternalIP, address: "FD00::1"}]}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {K: v}}
`;
    const { objects, problems: found } = parse(text);
    expect(found).toEqual([]);
    expect(objects.map((one) => `${one.key} ${one.at}`)).toEqual([
      "Node/node-1 f.yaml:4:3",
      "Namespace/shop f.yaml:9:3",
      "ConfigMap/shop/c f.yaml:10:3",
    ]);
    expect(objects[0]?.object).toMatchObject({
      addresses: ["192.168.0.1", "fd00::1"],
      podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
    });
  });

  it.each([
    ["PodList", "v1", { spec: { containers: [{ name: "c" }] } }],
    ["ConfigMapList", "v1", { data: { k: "v" } }],
    ["DeploymentList", "apps/v1", { spec: { selector, template: template("Always") } }],
    ["LimitList", "weir.dev/v1alpha1", { spec: { pod: "a", egress: "1M" } }],
  ])("reads a %s whose members have no kind", (kind, apiVersion, rest) => {
    const member = (name: string) => ({ metadata: { name }, ...rest });
    const own = kind.slice(0, -4);
    const items = [member("a"), { apiVersion, kind: own, ...member("b") }, { ...member("B"), kind: own }, 7];
    const { objects, problems: found } = parse(JSON.stringify({ apiVersion, kind, metadata: {}, items }));
    expect(objects.map((one) => one.key)).toEqual([`${own}/default/a`, `${own}/default/b`]);
    expect(found.map(({ path = "", message }) => `${path} ${message}`)).toEqual([
      expect.stringMatching(/^metadata.name "B" must be/),
      expect.stringMatching(/^ is not a Kubernetes object/),
    ]);
  });

  it.each([
    ["a List", "List"],
    ["a typed list", "PodList"],
  ])("reports that %s has no items", (_, kind) => {
    const { complete, problems: found } = parse(`apiVersion: v1\nkind: ${kind}\n`);
    expect([complete, found[0]?.message]).toEqual([false, `${kind} has no items`]);
  });

  it.each([
    ["at the begin", `\ufeff${POD}`],
    ["after ---", `---\n\ufeff${POD}`],
    ["of each of two files put together", `\ufeff${POD}---\n\ufeff${POD.replace("name: web", "name: db")}`],
    ["before ---", `\ufeff---\n${POD}...\n\ufeff---\n${POD.replace("name: web", "name: db")}`],
    [
      "of JSON",
      `\ufeff{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"c"}]}}`,
    ],
  ])("ignores byte order marks: %s", (_, text) => {
    const { objects, problems: found } = parse(text);
    expect([objects[0]?.key, found]).toEqual(["Pod/default/web", []]);
  });

  it("reports kinds that Weir does not act on as skipped", () => {
    const text =
      "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: web, namespace: shop}\n---\napiVersion: example.test/v1\nkind: Node\nmetadata: {name: n}\n";
    expect(problems(text)).toEqual([
      'f.yaml:1:1 PersistentVolumeClaim/shop/web : Weir does not act on PersistentVolumeClaim of "v1": skipped',
      'f.yaml:5:1 Node/default/n : Weir does not act on Node of "example.test/v1": skipped; Weir reads Node of v1',
    ]);
    expect(parse(text).problems.every((one) => one.severity === "skipped")).toBe(true);
    expect(parse(text).complete).toBe(true);
  });

  it("reports ignored and unknown fields of a pod", () => {
    const text = POD.replace("spec:\n", "  anotations: {}\nspec:\n  affinity: { podAffinity: {} }\n");
    expect(problems(text)).toEqual([
      "f.yaml:7:15 Pod/default/web metadata.anotations: unknown field: ignored; did you mean annotations?",
      "f.yaml:9:13 Pod/default/web spec.affinity: affinity is not evaluated; use nodeName or nodeSelector",
    ]);
    expect(parse(text).objects).toHaveLength(1);
  });
});

describe("problems", () => {
  const wrong = (from: string | RegExp, to: string) => problems(POD.replace(from, to));
  it.each([
    ["a name", "name: web", "name: Web_1", 'f.yaml:4:9 f.yaml metadata.name: "Web_1" must be lower-case'],
    ["a namespace", "name: web", "name: web\n  namespace: a/b", "f.yaml:5:14 f.yaml metadata.namespace:"],
    ["an annotation key", "bandwidth:", '"a b":', 'f.yaml:6:12 Pod/default/web metadata.annotations["a b"]:'],
    [
      "an unquoted value",
      "10 mbps egress",
      "10",
      'metadata.annotations["bandwidth"]: must be a string; put it in quotes: "10"',
    ],
    [
      "a label",
      "annotations:",
      "labels: {x: 'a b'}\n  annotations:",
      'metadata.labels["x"]: "a b" must be empty or letters',
    ],
    ["a command", "[sleep, infinity]", "sleep", "f.yaml:11:16 Pod/default/web spec.containers[0].command:"],
    ["a NUL", "[sleep, infinity]", '["a\\0b"]', "spec.containers[0].command[0]: must not contain a NUL"],
    ["no container", /containers:[\s\S]*/, "containers: []\n", "spec.containers: must have a container"],
    ["a node", "node-1", "../x", "spec.nodeName:"],
    ["a uid", "name: web", "name: web\n  uid: ../../x", "metadata.uid:"],
  ])("%s", (_, from, to, expected) => {
    const found = wrong(from, to);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });

  it("keeps the rest of the file and lists refused objects", () => {
    const parsed = parse(`${POD}---\n${POD.replace("name: web", "name: db").replace("node-1", "-x")}`);
    expect(parsed.objects.map((one) => one.key)).toEqual(["Pod/default/web"]);
    expect([...parsed.refused]).toEqual(["Pod/default/db"]);
    expect(parsed.complete).toBe(true);
  });

  it.each([
    ["broken YAML", "a: [1", "f.yaml:1:6"],
    ["a tab", "a:\n\tb: 1", "f.yaml:2:1"],
    ["a repeated key", "a: 1\na: 2", 'f.yaml:2:1 f.yaml : the key "a" is there twice'],
    ["a scalar", "just text", "f.yaml:1:1 f.yaml : is not a Kubernetes object"],
    ["no kind", "apiVersion: v1", "has no valid kind"],
    ["an odd kind", "apiVersion: v1\nkind: '../x'", "f.yaml:2:7 f.yaml : has no valid kind"],
    ["broken JSON", '{"kind": ', "f.yaml:1:"],
    ["deep flow nesting", "[".repeat(1_000_000), "nested too deeply"],
    ["deep sequences", "- ".repeat(500_000), "nested too deeply"],
    ["deep indentation", Array.from({ length: 1000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"), "nested too deeply"],
    ["very many tokens", "\n".repeat(1_000_000), "too long"],
    ["a merge key", "a: &a {b: 1}\nc:\n  <<: *a\n", 'merge keys ("<<") are not read'],
  ])("%s makes the file incomplete", (_, text, expected) => {
    expect(parse(text).complete).toBe(false);
    expect(problems(text)[0]).toContain(expected);
  });

  it.each([
    ["a closing ---", `${POD}---\n`],
    ["an opening --- and a comment", `---\n# Source: chart/templates/pod.yaml\n---\n${POD}`],
    ["comments between two ---", `${POD}---\n# nothing here\n---\n\n---\n${POD.replace("name: web", "name: db")}`],
    ["null", `${POD}--- null\n--- ~\n`],
  ])("ignores empty documents: %s", (_, text) => {
    const { objects, problems: found, complete } = parse(text);
    expect([objects[0]?.key, found, complete]).toEqual(["Pod/default/web", [], true]);
  });

  it("refuses an alias bomb", () => {
    let text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (let level = 1; level < 12; level++)
      text += `a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(", ")}]\n`;
    expect(problems(text)).toEqual(["f.yaml:1:1 f.yaml : cannot be read as YAML: its aliases expand to too much"]);
  });

  it("reads large but valid files", () => {
    const data = Array.from({ length: 20_000 }, (_, i) => `  k${i}: "${"- ".repeat(5)}"\n`).join("");
    const flow = `{${Array.from({ length: 500 }, (_, i) => `a${i}: {b: 1}`).join(", ")}}`;
    const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";
    const script = `  script: |\n${" ".repeat(600)}deep\n  # ${" ".repeat(600)}\n`;
    expect(problems(`${head}data:\n${script}${data}`)).toEqual([]);
    expect(problems(`${head}more: ${flow}\n`)).toEqual(["f.yaml:4:7 ConfigMap/default/x more: unknown field: ignored"]);
  });

  it("reports positions in JSON too", () => {
    const text =
      '{"apiVersion": "v1", "kind": "Pod",\n "metadata": {"name": "a"},\n "spec": {"containers": [{"name": "B"}]}}';
    expect(problems(text)[0]).toMatch(/^f.yaml:3:35 Pod\/default\/a spec.containers\[0\].name/);
  });

  it("refuses __proto__ as an invalid key", () => {
    const text =
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"__proto__":"x"}},"spec":{"containers":[{"name":"c"}]}}';
    expect(problems(text)[0]).toContain('metadata.labels["__proto__"]: "__proto__" must be');
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it("refuses an object where text is expected", () => {
    const text =
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"x":{"toString":1,"valueOf":1}}},"spec":{"containers":[{"name":"c"}]}}';
    expect(problems(text)[0]).toContain('metadata.labels["x"]: must be a string');
  });

  it("does not match a selector against other labels", () => {
    const spec = {
      selector: { matchLabels: { app: "b" } },
      template: { metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "c" }] } },
    };
    const text = JSON.stringify({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d" }, spec });
    expect(problems(text)[0]).toContain("spec.selector: does not match the template's labels");
  });
});
