import { describe, expect, it } from "vitest";
import { parseManifests } from "./parse.ts";

type Fields = Record<string, unknown>;
const object = (kind: string, apiVersion: string, rest: Fields) => ({
  apiVersion,
  kind,
  metadata: { name: "web" },
  ...rest,
});
const pod = (container: Fields, spec: Fields = {}) =>
  object("Pod", "v1", { spec: { containers: [{ name: "c", ...container }], ...spec } });
const deployment = (template: Fields) =>
  object("Deployment", "apps/v1", {
    spec: { selector: { matchLabels: { app: "a" } }, template: { metadata: { labels: { app: "a" } }, ...template } },
  });
const containers = [{ name: "c" }];

function remarks(...documents: unknown[]): string[] {
  const { problems } = parseManifests(JSON.stringify({ apiVersion: "v1", kind: "List", items: documents }), "f.json");
  const told = problems.filter(({ severity }) => severity !== "skipped"); // that is left-out.ts
  return told.map(({ path = "", message, severity = "error" }) => `${severity} ${path}: ${message}`);
}

describe("unknown fields are reported, at any depth", () => {
  it.each<[string, unknown, string, string]>([
    ["at the top", { ...pod({}), sepc: {} }, "sepc", "spec"],
    ["in metadata", { ...pod({}), metadata: { name: "web", lables: {} } }, "metadata.lables", "labels"],
    ["in a pod's spec", pod({}, { nodename: "a" }), "spec.nodename", "nodeName"],
    ["in a container", pod({ comand: ["a"] }), "spec.containers[0].comand", "command"],
    ["in a variable", pod({ env: [{ name: "A", vlaue: "1" }] }), "spec.containers[0].env[0].vlaue", "value"],
    [
      "in a part that Weir does not read",
      pod({ lifecycle: { preStop: { httpGet: { prot: 80 } } } }),
      "spec.containers[0].lifecycle.preStop.httpGet.prot",
      "port",
    ],
    ["in a map of types", pod({ resources: { limit: { cpu: "1" } } }), "spec.containers[0].resources.limit", "limits"],
    [
      "in a template",
      deployment({ spec: { containers, restartpolicy: "Always" } }),
      "spec.template.spec.restartpolicy",
      "restartPolicy",
    ],
    [
      "in a template's metadata",
      deployment({ metadata: { labels: { app: "a" }, anotations: {} }, spec: { containers } }),
      "spec.template.metadata.anotations",
      "annotations",
    ],
    [
      "in a cron job",
      object("CronJob", "batch/v1", {
        spec: {
          schedule: "* * * * *",
          jobTemplate: { spec: { backofLimit: 1, template: { spec: { restartPolicy: "Never", containers } } } },
        },
      }),
      "spec.jobTemplate.spec.backofLimit",
      "backoffLimit",
    ],
    ["in a Service", object("Service", "v1", { spec: { selectors: { app: "a" } } }), "spec.selectors", "selector"],
    ["in a Node", object("Node", "v1", { spec: { podCidr: "10.0.0.0/24" } }), "spec.podCidr", "podCIDR"],
    ["in a ConfigMap", object("ConfigMap", "v1", { dat: {} }), "dat", "data"],
    [
      "in an EndpointSlice",
      object("EndpointSlice", "discovery.k8s.io/v1", {
        addressType: "IPv4",
        endpoints: [{ addresses: ["10.0.0.1"], condition: {} }],
      }),
      "endpoints[0].condition",
      "conditions",
    ],
    [
      "around a Limit",
      object("Limit", "weir.dev/v1alpha1", { spec: { pod: "a", egress: "1M" }, stauts: {} }),
      "stauts",
      "status",
    ],
  ])("%s", (_, document, path, meant) => {
    expect(remarks(document)).toEqual([`warning ${path}: unknown field: ignored; did you mean ${meant}?`]);
  });

  it("also for a refused object", () => {
    expect(remarks(object("Pod", "v1", { spec: { contaners: containers } }))).toEqual([
      "error spec.containers: is required",
      "warning spec.contaners: unknown field: ignored; did you mean containers?",
    ]);
  });

  it("without a suggestion if no known field is similar", () => {
    expect(remarks(pod({}, { xyz: 1 }))).toEqual(["warning spec.xyz: unknown field: ignored"]);
  });

  it("reports neither free keys nor Kubernetes' own fields", () => {
    const fields = {
      env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "m", key: "k" } } }],
      resources: { limits: { "example.com/gpu": 1 }, requests: { cpu: "100m" } },
      securityContext: { capabilities: { drop: ["ALL"] }, seLinuxOptions: { level: "s0" } },
      ports: [{ containerPort: 80, hostPort: 80, protocol: "TCP" }],
      lifecycle: { preStop: { exec: { command: ["true"] } } },
    };
    const spec = {
      nodeSelector: { zone: "a" },
      serviceAccountName: "x",
      volumes: [{ name: "v", emptyDir: { medium: "" } }],
    };
    const documents = [
      { ...pod(fields, spec), metadata: { name: "a", labels: { any: "b" }, annotations: { "some/thing": "c" } } },
      object("ConfigMap", "v1", { data: { contaners: "x" }, binaryData: { x: "AA==" }, immutable: true }),
      object("Namespace", "v1", { spec: { finalizers: ["kubernetes"] }, status: { phase: "Active" } }),
    ];
    expect(remarks(...documents)).toEqual([]);
  });

  it("reports where rules on a workload's own metadata belong", () => {
    const annotations = { "kubernetes.io/egress-bandwidth": "10M" };
    const own = { ...deployment({ spec: { containers } }), metadata: { name: "web", annotations } };
    const job = {
      schedule: "* * * * *",
      jobTemplate: { spec: { template: { spec: { restartPolicy: "Never", containers } } } },
    };
    const cron = {
      ...object("CronJob", "batch/v1", { spec: job }),
      metadata: { name: "web", labels: { rate: "10M" } },
    };
    const space = { ...object("Namespace", "v1", {}), metadata: { name: "web", annotations } };
    const path = 'metadata.annotations["kubernetes.io/egress-bandwidth"]';
    expect(remarks(own, cron, space)).toEqual([
      `warning ${path}: does nothing on a Deployment itself; write it in spec.template.metadata.annotations`,
      'warning metadata.labels["rate"]: does nothing on a CronJob itself; write it in spec.jobTemplate.spec.template.metadata.labels',
      `warning ${path}: does nothing on a Namespace itself; write it in its pods' metadata.annotations`,
    ]);
  });

  it("reports the first of very many without delay", () => {
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`containerz${index}`, 0]));
    const found = remarks(pod({}, many));
    expect(found).toHaveLength(51);
    expect(found.at(-1)).toBe("warning : has more that is not right; the first 50 are told");
    const wrong = remarks({ ...pod({}), spec: { containers: Array(100_000).fill(1) } });
    expect(wrong).toHaveLength(51);
  });
});
