import { describe, expect, test } from "vitest";
import { describeEffects } from "../model/impairments.ts";
import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import type { NodeContext, PodAttachment } from "../model/node-context.ts";
import type { ManifestObject } from "../model/objects.ts";
import { ONE_OFF } from "../model/one-off.ts";
import type { LastGood } from "../model/remembered.ts";
import { NOBODY } from "../model/rule-objects.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { planned, plannerOf } from "./testing/plan.ts";

const node: NodeContext = {
  name: "node-1",
  overlay: "vxlan",
  addresses: [],
  podCIDRs: [],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
  fq: true,
};
type Texts = Record<string, string>;
interface PodOptions {
  labels?: Texts;
  annotations?: Texts;
  node?: string;
  ips?: string[];
}
const pod = (name: string, { labels = {}, annotations = {}, node: nodeName = "node-1", ips }: PodOptions = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", uid: `u-${name}`, labels, annotations },
  spec: { nodeName, containers: [{ name: "c" }] },
  ...(ips && { status: { podIPs: ips.map((ip) => ({ ip })) } }),
});
const service = (name: string, selector: Texts, annotations: Texts = {}, clusterIPs: string[] = []) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "shop", annotations },
  spec: { selector, clusterIPs },
});
const slice = (name: string, of: string | undefined, addressType: string, ...addresses: string[]) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name, namespace: "shop", labels: of === undefined ? {} : { "kubernetes.io/service-name": of } },
  addressType,
  endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: false } })),
});
const own = (kind: "Limit" | "Impairment", name: string, spec: object, namespace = "shop") => ({
  apiVersion: "weir.dev/v1alpha1",
  kind,
  metadata: { name, namespace },
  spec,
});
const endpoint = (name: string): PodAttachment => ({
  namespace: "shop",
  name,
  uid: `u-${name}`,
  netns: "/run/netns/x",
  ifname: "eth0",
  device: `weir-${name}`,
  mac: "02:00:00:00:00:01",
  ips: ["10.244.1.9"],
});

function reduce(objects: object[], before: LastGood = new Map(), endpoints: PodAttachment[] = []) {
  const text = objects.map((object) => JSON.stringify(object)).join("\n---\n");
  const parsed = parseManifests(text, "f.yaml");
  const input = { node, objects: parsed.objects.map((one) => one.object), endpoints, problems: parsed.problems };
  const { state, lastGood } = planned(before, input);
  const limits = [...state.limits].flatMap(([key, rules]) =>
    rules.map(({ direction, rate, source }) => `${key} ${direction} ${rate / 1e6}M by ${source}`),
  );
  const impairments = [...state.impairments].flatMap(([key, rules]) =>
    rules.map(({ direction, effects, source }) => `${key} ${direction} ${describeEffects(effects)} by ${source}`),
  );
  const problems = state.problems.map(({ object, path, message }) => `${object} ${path ?? ""}: ${message}`);
  return { state, limits, impairments, problems, lastGood };
}

const WEB = { app: "web" };
const egress = (rate: string) => ({ bandwidth: `${rate} mbps egress` });

describe("precedence of limits", () => {
  test.each<[string, object[], Texts, string[], string[]?]>([
    [
      "a Service's for the pods that it selects",
      [service("s", WEB, egress("5"))],
      {},
      ["shop/a egress 5M by Service/shop/s"],
    ],
    [
      "a Limit's before a Service's",
      [service("s", WEB, egress("5")), own("Limit", "l", { service: "s", egress: "6M" })],
      {},
      ["shop/a egress 6M by Limit/shop/l"],
      [
        'Service/shop/s metadata.annotations["bandwidth"]: says 5 Mbit/s egress, but for shop/a Limit/shop/l comes first (6 Mbit/s egress)',
      ],
    ],
    [
      "the pod's own before both",
      [service("s", WEB, egress("5")), own("Limit", "l", { pod: "a", egress: "6M" })],
      egress("7"),
      ["shop/a egress 7M by bandwidth"],
      [
        "Limit/shop/l spec.egress: says 6 Mbit/s egress, but for shop/a Pod/shop/a comes first (7 Mbit/s egress)",
        'Service/shop/s metadata.annotations["bandwidth"]: says 5 Mbit/s egress, but for shop/a Pod/shop/a comes first (7 Mbit/s egress)',
      ],
    ],
    [
      "each direction by itself",
      [service("s", WEB, { bandwidth: "5 mbps ingress" })],
      egress("7"),
      ["shop/a ingress 5M by Service/shop/s", "shop/a egress 7M by bandwidth"],
    ],
    [
      "a selector's",
      [own("Limit", "l", { selector: { matchLabels: WEB }, ingress: "6M" })],
      {},
      ["shop/a ingress 6M by Limit/shop/l"],
    ],
    ["a Service without a selector selects nobody", [service("s", {}, egress("5"))], {}, []],
    [
      "another namespace's is none of this pod's",
      [own("Limit", "l", { selector: {}, ingress: "6M" }, "other")],
      {},
      [],
      ["Limit/other/l spec.selector: chooses no pod: no pod of namespace other has such labels"],
    ],
  ])("%s", (_what, objects, annotations, expected, told = []) => {
    const { limits, problems } = reduce([pod("a", { labels: WEB, annotations }), ...objects]);
    expect(problems.toSorted()).toEqual(told);
    expect(limits).toEqual(expected);
  });

  test("two Services with different limits: the first by name wins, and both get a problem", () => {
    const { limits, problems } = reduce([
      pod("a", { labels: WEB }),
      pod("b", { labels: WEB }),
      service("t", WEB, egress("6")),
      service("s", WEB, egress("5")),
    ]);
    expect(limits).toEqual(["shop/a egress 5M by Service/shop/s", "shop/b egress 5M by Service/shop/s"]);
    expect(problems).toEqual([
      'Service/shop/s metadata.annotations["bandwidth"]: says 5 Mbit/s egress; Service/shop/t says 6 Mbit/s egress for the same pod, and comes later: this one counts',
      'Service/shop/t metadata.annotations["bandwidth"]: says 6 Mbit/s egress, but Service/shop/s says 5 Mbit/s egress for the same pod and comes first; remove one of them',
    ]);
  });

  test("two Services with the same limit do not conflict", () => {
    const { problems } = reduce([
      pod("a", { labels: WEB }),
      service("s", WEB, egress("5")),
      service("t", WEB, egress("5")),
    ]);
    expect(problems).toEqual([]);
  });
});

test("an Impairment that has ended overrules no other and causes no conflict", () => {
  const egress = (name: string, loss: string, until?: string) =>
    own("Impairment", name, { pod: "a", direction: "egress", loss, ...(until && { until }) });
  const text = [pod("a"), egress("a-old", "3%", "2026-01-01T00:00:00Z"), egress("b-new", "4%")];
  const { objects } = parseManifests(text.map((one) => JSON.stringify(one)).join("\n---\n"), "f.yaml");
  const input = { node, objects: objects.map(({ object }) => object), endpoints: [], problems: [] };
  const at = (time: string) => {
    const { state } = planned(new Map(), { ...input, now: Date.parse(time) });
    return [state.impairments.get("shop/a")?.map(({ source }) => source), state.problems.length];
  };
  expect(at("2025-12-31T23:59:59Z")).toEqual([["Impairment/shop/a-old"], 2]);
  expect(at("2026-01-01T00:00:00Z")).toEqual([["Impairment/shop/b-new"], 0]);
});

describe("losses and Impairments", () => {
  const LOSS = { loss: "uniform egress 2%" };
  const impair = (name: string, spec: object) => own("Impairment", name, { pod: "a", direction: "egress", ...spec });
  const oneOff = (name: string, spec: object) => {
    const one = impair(name, spec);
    return { ...one, metadata: { ...one.metadata, labels: { [ONE_OFF]: "true" } } };
  };
  const LOSES = "Impairment/shop/i spec: says loss 1% egress, but for shop/a Pod/shop/a comes first (loss 2% egress)";
  test.each<[string, Texts, object[], string[], string[]?]>([
    ["the pod's annotation", LOSS, [], ["shop/a egress loss 2% by loss"]],
    ["a Service's annotation", {}, [service("s", WEB, LOSS)], ["shop/a egress loss 2% by Service/shop/s"]],
    [
      "an Impairment, both ways",
      {},
      [own("Impairment", "i", { pod: "a", loss: "1%" })],
      ["shop/a ingress loss 1% by Impairment/shop/i", "shop/a egress loss 1% by Impairment/shop/i"],
    ],
    [
      "the pod's own loss before an Impairment's",
      LOSS,
      [impair("i", { loss: "1%" })],
      ["shop/a egress loss 2% by loss"],
      [LOSES],
    ],
    [
      "an Impairment that says so before the pod's own loss",
      LOSS,
      [impair("i", { loss: "1%", override: true })],
      ["shop/a egress loss 1% by Impairment/shop/i"],
      [
        'Pod/shop/a metadata.annotations["loss"]: says loss 2% egress, but for shop/a Impairment/shop/i comes first (loss 1% egress)',
      ],
    ],
    [
      "a one-off after all others, whatever its name",
      {},
      [service("s", WEB, LOSS), oneOff("a-first", { loss: "1%", duplicate: "1%" })],
      ["shop/a egress loss 2% by Service/shop/s", "shop/a egress duplicate 1% by Impairment/shop/a-first"],
      ["Impairment/shop/a-first spec: says loss 1% egress, but for shop/a Service/shop/s comes first (loss 2% egress)"],
    ],
    [
      "an Impairment's delay beside the pod's own loss",
      LOSS,
      [impair("i", { loss: "1%", delay: { latency: "50ms" } })],
      ["shop/a egress loss 2% by loss", "shop/a egress delay 50ms by Impairment/shop/i"],
      [LOSES],
    ],
    [
      "a narrowed one beside one for all",
      LOSS,
      [impair("i", { loss: "9%", match: { ports: [{ protocol: "TCP", port: 80 }] } })],
      ["shop/a egress loss 2% by loss", "shop/a egress loss 9% by Impairment/shop/i"],
    ],
  ])("%s", (_what, annotations, objects, expected, told = []) => {
    const { impairments, problems } = reduce([pod("a", { labels: WEB, annotations }), ...objects]);
    expect(problems).toEqual(told);
    expect(impairments).toEqual(expected);
  });

  test("two Impairments for the same packets: the first by name wins, and both get a problem", () => {
    const { impairments, problems } = reduce([pod("a"), impair("y", { loss: "2%" }), impair("x", { loss: "1%" })]);
    expect(impairments).toEqual(["shop/a egress loss 1% by Impairment/shop/x"]);
    expect(problems.map((text) => text.split(":")[0])).toEqual(["Impairment/shop/x spec", "Impairment/shop/y spec"]);
  });

  test("Impairments beyond what a chain can hold are problems", () => {
    const many = Array.from({ length: 6 }, (_, i) =>
      impair(`i${i}`, { loss: "1%", match: { ports: [{ protocol: "TCP", port: i + 1 }] } }),
    );
    const { impairments, problems } = reduce([pod("a"), ...many]);
    expect(impairments).toHaveLength(4);
    expect(problems.map((text) => text.split(" ")[0])).toEqual(["Impairment/shop/i4", "Impairment/shop/i5"]);
  });

  test("every rule has a lease; only rules without a match have exemptions", () => {
    const { state } = reduce([
      pod("a", { annotations: LOSS }),
      impair("i", {
        corrupt: "1%",
        lease: "20s",
        until: "2026-01-02T15:04:05Z",
        match: { peers: [{ cidr: "10.0.0.0/8" }] },
      }),
    ]);
    expect(state.impairments.get("shop/a")).toMatchObject([
      { exempt: { probes: true, dns: true }, lease: { seconds: DEFAULT_RULE_SETTINGS.defaultLease } },
      { exempt: { probes: false, dns: false }, lease: { seconds: 20, until: Date.UTC(2026, 0, 2, 15, 4, 5) } },
    ]);
  });
});

describe("peers", () => {
  const db = { labels: { app: "db" }, ips: ["10.244.2.7", "fd00:10:244:2::7"], node: "node-2" };
  test.each([
    ["a network", [{ cidr: "10.0.0.0/8" }], ["10.0.0.0/8"]],
    ["a network without a part", [{ cidr: "10.0.0.0/30", except: ["10.0.0.0/31"] }], ["10.0.0.2/31"]],
    [
      "pods of another node by their status",
      [{ podSelector: { matchLabels: { app: "db" } } }],
      ["10.244.2.7/32", "fd00:10:244:2::7/128"],
    ],
    ["this node's pods by their endpoints", [{ podSelector: { matchLabels: WEB } }], ["10.244.1.9/32"]],
    [
      "pods of selected namespaces",
      [{ podSelector: {}, namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "none" } } }],
      [],
    ],
    [
      "a Service's pods and its own address",
      [{ service: { name: "db" } }],
      ["10.244.2.7/32", "10.96.0.5/32", "fd00:10:244:2::7/128"],
    ],
  ])("%s", (_what, peers, expected) => {
    const objects = [
      pod("a", { labels: WEB }),
      pod("db", db),
      service("db", { app: "db" }, {}, ["10.96.0.5"]),
      own("Impairment", "i", { pod: "a", loss: "1%", match: { peers } }),
    ];
    const { state, problems } = reduce(objects, new Map(), [endpoint("a")]);
    const told = expected.length > 0 ? [] : [`Impairment/shop/i spec.match.peers: ${NOBODY}`];
    expect(problems).toEqual(told);
    expect(state.impairments.get("shop/a")?.[0]?.match.peers).toEqual(expected);
  });

  test("a Service's peers are those of its EndpointSlices, and follow their changes", () => {
    const objects = [
      pod("a"),
      pod("db", db),
      service("db", { app: "db" }, {}, ["10.96.0.5"]),
      slice("db-1", "db", "IPv4", "10.244.3.1", "10.244.3.0"),
      slice("db-2", "db", "IPv6", "FD00:3::0001"),
      slice("db-3", "db", "FQDN", "db.example.test"),
      slice("other", "other", "IPv4", "10.244.9.9"),
      own("Impairment", "i", { pod: "a", loss: "1%", match: { peers: [{ service: { name: "db" } }] } }),
    ];
    const peers = (all: object[]) => reduce(all).state.impairments.get("shop/a")?.[0]?.match.peers;
    expect(peers(objects)).toEqual(["10.244.3.0/31", "10.96.0.5/32", "fd00:3::1/128"]);
    expect(peers([...objects, slice("db-4", "db", "IPv4", "10.244.4.4")])).toContain("10.244.4.4/32");
    expect(peers([...objects, slice("stray", undefined, "IPv4", "10.244.9.8")])).not.toContain("10.244.9.8/32");
  });

  test("an invalid address or one of the wrong family is refused with its path", () => {
    const parsed = (type: string, address: string) =>
      parseManifests(JSON.stringify(slice("s", "db", type, address)), "f").problems.map((one) => one.path);
    expect(parsed("IPv4", "10.0.0.1")).toEqual([]);
    expect(parsed("IPv4", "fd00::1")).toEqual(["endpoints[0].addresses[0]"]);
    expect(parsed("IPv6", "10.0.0.256")).toEqual(["endpoints[0].addresses[0]"]);
  });

  test("a missing Service is a problem, and matches nobody", () => {
    const { state, problems } = reduce([
      pod("a"),
      own("Impairment", "i", { pod: "a", loss: "1%", match: { peers: [{ service: { name: "nope" } }] } }),
    ]);
    expect(problems).toEqual([
      "Impairment/shop/i spec.match.peers[0].service: there is no Service shop/nope: the peer matches nobody",
    ]);
    expect(state.impairments.get("shop/a")?.[0]?.match.peers).toEqual([]);
  });
});

describe("the last valid rule", () => {
  test.each([
    ["a pod", (loss: string) => [pod("a", { annotations: { loss } })]],
    ["a Service", (loss: string) => [pod("a", { labels: WEB }), service("s", WEB, { loss })]],
  ])("of %s stays in force while its value is invalid", (_what, objects) => {
    const first = reduce(objects("uniform egress 2%"));
    const second = reduce(objects("uniform egress 2"), first.lastGood);
    expect(second.impairments).toEqual(first.impairments);
    expect(second.problems).toEqual([expect.stringContaining("the last good value stays: uniform egress 2%")]);
    expect(reduce([pod("a", { labels: WEB })], second.lastGood).impairments).toEqual([]);
  });

  test("of a deleted pod stays in force until the pod is detached", () => {
    const first = reduce([pod("a", { annotations: { loss: "uniform egress 2%" } })], new Map(), [endpoint("a")]);
    expect(reduce([], first.lastGood, [endpoint("a")]).impairments).toEqual(first.impairments);
    expect(reduce([], first.lastGood).impairments).toEqual([]);
  });
});

test("a change keeps the identity of rules that it does not concern, so that they are not planned again", () => {
  const [first, second] = ["a", "b"].map((name) => {
    const { objects } = parseManifests(
      [
        pod("a", { labels: WEB, annotations: { bandwidth: name === "a" ? "1 mbps egress" : "2 mbps egress" } }),
        pod("b", { labels: WEB, annotations: { loss: "uniform egress 1%" } }),
        own("Limit", "l", { selector: { matchLabels: WEB }, ingress: "5M" }),
        own("Impairment", "i", {
          selector: { matchLabels: WEB },
          duplicate: "1%",
          match: { peers: [{ podSelector: { matchLabels: WEB } }, { cidr: "10.0.0.0/30", except: ["10.0.0.0/31"] }] },
        }),
      ]
        .map((object) => JSON.stringify(object))
        .join("\n---\n"),
      "f",
    );
    return objects.map((one) => one.object);
  }) as [ManifestObject[], ManifestObject[]];
  const planner = plannerOf({ node, objects: first, endpoints: [endpoint("a")] });
  const { rules, cluster } = planner;
  const before = [rules.impairments.get("shop/b"), rules.limits.get("shop/b")];
  expect(before[0]?.rules).toHaveLength(3);
  cluster.put("Pod/shop/a", second[0]);
  planner.settle(1);
  expect(rules.impairments.get("shop/b")).toBe(before[0]);
  expect(rules.limits.get("shop/b")).toBe(before[1]);
  expect(rules.limits.get("shop/a")?.rules.map(({ rate }) => rate)).toEqual([5e6, 2e6]);
  cluster.putAttachment("shop/a", { ...endpoint("a"), ips: ["10.244.1.77"] });
  planner.settle(1);
  expect(rules.impairments.get("shop/b")?.rules[0]?.match.peers).toContain("10.244.1.77/32");
});
