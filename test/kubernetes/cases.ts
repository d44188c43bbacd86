/** Manifests that are read from a folder and from an API; the result must contain `shows`. */
export type Written = readonly {
  apiVersion: string;
  kind: string;
  metadata: { name: string; [field: string]: unknown };
  [field: string]: unknown;
}[];

interface Case {
  name: string;
  objects: Written;
  shows: string;
}

type Map = Record<string, string>;

const pod = (name: string, metadata: { labels?: Map; annotations?: Map } = {}, spec: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...metadata },
  spec: { nodeName: "n1", containers: [{ name: "main", image: "example.test/main:1" }], ...spec },
});
const service = (name: string, spec: object, annotations: Map = {}) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, annotations },
  spec: { ports: [{ port: 80 }], ...spec },
});
const own = (kind: "Limit" | "Impairment", name: string, spec: object) => ({
  apiVersion: "weir.dev/v1alpha1",
  kind,
  metadata: { name },
  spec,
});
const web = { app: "web" };
const bandwidth = (text: string) => ({ annotations: { bandwidth: text } });

export const CASES: readonly Case[] = [
  {
    name: "every key of a pod",
    objects: [
      pod("own", { annotations: { "weir.dev/ingress-bandwidth": "1.5G", "weir.dev/egress-bandwidth": "500k" } }),
      pod("one", bandwidth("100 mbps ingress; 800 kbits egress")),
      pod("kubernetes", { annotations: { "kubernetes.io/ingress-bandwidth": "10M" } }),
      pod("calico", { annotations: { "qos.projectcalico.org/egressBandwidth": "20M" } }),
      pod("label", { labels: { rate: "25M" } }),
      pod("lossy", { annotations: { loss: "2% egress" } }),
    ],
    shows: '"rate":25000000',
  },
  {
    name: "bad values, with the field that they are in",
    objects: [
      pod("fast", bandwidth("fast egress")),
      pod("lost", { annotations: { loss: "200%" } }),
      pod("two", { labels: { rate: "25M" }, annotations: { bandwidth: "50 mbps egress" } }),
    ],
    shows: 'metadata.annotations[\\"bandwidth\\"]',
  },
  {
    name: "a Service's annotations, for the pods that it selects",
    objects: [
      pod("a", { labels: web }),
      pod("b", { labels: { app: "other" } }),
      service("web", { selector: web, clusterIP: "None" }, { "kubernetes.io/egress-bandwidth": "10M" }),
    ],
    shows: '"source":"Service/',
  },
  {
    name: "a Limit by selector, and two that disagree",
    objects: [
      pod("a", { labels: web }),
      own("Limit", "web", {
        selector: { matchExpressions: [{ key: "app", operator: "In", values: ["web"] }] },
        egress: "100M",
      }),
      own("Limit", "also", { pod: "a", egress: "50M", ingress: "1Gi" }),
    ],
    shows: "Limit/case-3/also",
  },
  {
    name: "an Impairment with every effect and a narrower match",
    objects: [
      pod("a", { labels: web }),
      pod("db", { labels: { app: "db" } }),
      service("db", { selector: { app: "db" }, clusterIP: "10.96.40.1" }),
      own("Impairment", "bad", {
        ...{ selector: { matchLabels: web }, direction: "both", duplicate: "1%", corrupt: "0.5%", reorder: "2%" },
        ...{
          loss: { burst: { p: "0.5%", r: "20%" } },
          delay: { latency: "50ms", jitter: "5ms" },
          pace: "10M",
          seed: 7,
        },
        ...{
          match: {
            peers: [{ service: { name: "db" } }, { cidr: "192.0.2.0/24", except: ["192.0.2.8/29"] }],
            ports: [{ protocol: "TCP", port: 80, endPort: 90 }],
          },
        },
        ...{ exempt: { dns: false }, lease: "30s", until: "2099-01-01T00:00:00Z" },
      }),
    ],
    shows: "10.96.40.1",
  },
  {
    name: "peers by pod and namespace",
    objects: [
      pod("a", { labels: web }),
      pod("b", { labels: { app: "db" } }),
      own("Impairment", "some", {
        ...{ pod: "a", direction: "egress", loss: { exponential: { threshold: 3 } } },
        match: {
          peers: [{ namespaceSelector: { matchLabels: { team: "x" } }, podSelector: { matchLabels: { app: "db" } } }],
        },
      }),
    ],
    shows: "some",
  },
  {
    name: "a pod of its node's network",
    objects: [pod("host", bandwidth("10 mbps egress"), { hostNetwork: true })],
    shows: '"hostNetwork":true',
  },
  {
    name: "fields that Weir does not read",
    objects: [
      pod("rich", bandwidth("10 mbps egress"), {
        ...{ priority: 0, terminationGracePeriodSeconds: 5, tolerations: [{ operator: "Exists" }] },
        containers: [
          {
            name: "main",
            image: "example.test/main:1",
            resources: { limits: { cpu: "1" } },
            env: [{ name: "A", value: "1" }],
          },
        ],
      }),
    ],
    shows: '"rate":10000000',
  },
];
