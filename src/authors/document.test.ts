import { describe, expect, test } from "vitest";
import { impairInstance } from "../functions/impair/impair.ts";
import { limitInstance } from "../functions/limit/limit.ts";
import { TestDocument, type Wanted } from "../functions/testing/document.ts";
import type { Direction } from "../model/directions.ts";
import type { Document, RowValue } from "../model/document.ts";
import type { ImpairRule } from "../model/impair.ts";
import type { LimitRule } from "../model/limits.ts";
import type { PodAttachment } from "../model/node-context.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { documentOf, plannerOf } from "./testing/plan.ts";

const BUILD = "0123456789ab";
const NODE = {
  name: "n",
  overlay: "vxlan" as const,
  addresses: ["192.0.2.1", "2001:db8::1"],
  podCIDRs: ["10.244.1.0/24"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};
const endpoint = (name: string): PodAttachment => ({
  namespace: "ns",
  name,
  uid: name,
  netns: `/run/netns/${name}`,
  ifname: "eth0",
  device: `weir-${name}`,
  mac: "02:00:00:00:00:01",
  ips: ["10.244.1.2"],
});
const limit = (direction: Direction, rate: number): LimitRule => ({
  direction,
  rate,
  source: "bandwidth",
  configured: "",
});
const loss = (more: Partial<ImpairRule> = {}): ImpairRule => ({
  id: "loss",
  direction: "egress",
  source: "loss",
  configured: "",
  effects: { loss: { model: "uniform", probability: 0.5 } },
  match: {},
  exempt: { probes: true, dns: true },
  ...more,
});
/** The document of a node with pod ns/a and its rules. */
function written(wanted: Partial<Wanted>, fq = false): Document {
  const document = new TestDocument();
  document.follow({ node: { ...NODE, fq }, endpoints: [endpoint("a")], ...wanted });
  return document.composer.whole();
}
const impaired = (rules: ImpairRule[], fq = false) => written({ impairments: new Map([["ns/a", rules]]) }, fq);
const instancesOf = ({ instances }: Document, fn: string): string[] =>
  instances.flatMap((one) => (one.function === fn ? [one.name] : []));
const chain = ({ ports }: Document, direction: Direction) => ports.find(({ name }) => name === "weir-a")?.[direction];
/** The items that exist for rules only: instances, shapers, leases, and rows of their tables. */
const ofRules = ({ instances, shapers, leases, rows }: Document) => [
  instances.filter((one) => one.function !== "router"),
  shapers,
  leases,
  rows.filter(({ table }) => !table.startsWith("weir_rt_")),
];

describe("programs", () => {
  test("of a pod that is not attached here add nothing to the document", () => {
    expect(ofRules(written({ builds: new Map([["ns/gone", [{ direction: "egress", build: BUILD }]]]) }))).toEqual([
      [],
      [],
      [],
      [],
    ]);
  });

  test.each([
    ["egress", "ingress"],
    ["ingress", "egress"],
  ] as const)("program, then impairments, then the limit: %s", (direction, at) => {
    const document = written({
      limits: new Map([["ns/a", [limit(direction, 1e6)]]]),
      impairments: new Map([["ns/a", [loss({ direction })]]]),
      builds: new Map([["ns/a", [{ direction, build: BUILD }]]]),
    });
    expect(chain(document, at)?.map((name) => name.split(":")[0])).toEqual(["custom", "impair", "limit"]);
  });
});

describe("limits", () => {
  test("of a pod that is not attached here, or without a rule, add nothing to the document", () => {
    expect(ofRules(written({ limits: new Map([["ns/gone", [limit("egress", 1e6)]]]) }))).toEqual([[], [], [], []]);
  });

  test("do not depend on the order of attachments and rules", () => {
    const rules = { a: [limit("ingress", 1e6), limit("egress", 2e6)], b: [limit("egress", 3e6)] };
    const limits = new Map(Object.entries(rules).map(([name, list]) => [`ns/${name}`, list]));
    const one = written({ limits, endpoints: [endpoint("a"), endpoint("b")] });
    const two = written({ limits, endpoints: [endpoint("b"), endpoint("a")] });
    expect(one).toEqual(two);
    expect(instancesOf(one, "limit")).toEqual([
      limitInstance("weir-a", "egress"),
      limitInstance("weir-a", "ingress"),
      limitInstance("weir-b", "egress"),
    ]);
  });
});

describe("impairments", () => {
  test("without rules there are no items, not even the node's addresses", () => {
    expect(ofRules(impaired([]))).toEqual([[], [], [], []]);
  });

  test("rules keep their order, and at most four of a direction are in the document", () => {
    const ids = ["z", "y", "x", "w", "v"];
    const names = ids.slice(0, 4).map((id) => impairInstance("weir-a", "egress", id));
    expect(chain(impaired(ids.map((id) => loss({ id }))), "ingress")).toEqual(names);
  });

  test("a rule whose selector matches no peer is not in the document", () => {
    expect(instancesOf(impaired([loss({ match: { peers: [] } })]), "impair")).toEqual([]);
  });

  test("the node's own addresses, the source of probes, are rows beside the peers", () => {
    const { rows } = impaired([loss({ match: { peers: ["10.0.0.0/8", "2001:db8::/32"] } })]);
    const keys = rows.flatMap(({ table, key }) => (table === "weir_impair_peers" ? [key] : []));
    const kinds = keys.map((key): [RowValue | undefined, string] => [key["prefixlen"], typeof key["instance"]]);
    expect(kinds.toSorted()).toEqual(
      [
        [32 + 128, "number"],
        [32 + 128, "number"],
        [32 + 96 + 8, "object"],
        [32 + 32, "object"],
      ].toSorted(),
    );
  });

  test("the delaying pair stays when the last delay goes: packets may wait in it", () => {
    for (const rules of [[loss()], []]) {
      expect(impaired(rules, true).links).toContainEqual(expect.objectContaining({ device: "weir_delay0" }));
    }
  });

  test("without fq the delaying pair is not made", () => {
    const delayed = loss({
      effects: { loss: { model: "uniform", probability: 0.5 }, delay: { base: 50e6, jitter: 0 } },
    });
    const device = (fq: boolean) => impaired([delayed], fq).links.filter((link) => link.device === "weir_delay0");
    expect(device(true)).toMatchObject([{ device: "weir_delay0", qdisc: "fq" }]);
    expect(device(false)).toEqual([]);
  });
});

test("a planner writes the same document from objects", () => {
  const annotations = 'bandwidth: "1 mbps egress", loss: "uniform egress 50%"';
  const text = `apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ns, annotations: {${annotations}}}\nspec: {nodeName: n, containers: [{name: c}]}\n`;
  const { objects, problems } = parseManifests(text, "f.yaml");
  expect(problems).toEqual([]);
  const planner = plannerOf({
    node: NODE,
    objects: objects.map(({ object }) => object),
    endpoints: [endpoint("a")],
    builds: new Map([["ns/a", [{ direction: "egress", build: BUILD }]]]),
  });
  const { limits, impairments } = planner.rules;
  const document = documentOf(planner);
  expect(document).toEqual(
    written({
      limits: new Map([["ns/a", limits.get("ns/a")?.rules ?? []]]),
      impairments: new Map([["ns/a", impairments.get("ns/a")?.rules ?? []]]),
      builds: new Map([["ns/a", [{ direction: "egress", build: BUILD }]]]),
    }),
  );
  expect(chain(document, "ingress")?.map((name) => name.split(":")[0])).toEqual(["custom", "impair", "limit"]);
});
