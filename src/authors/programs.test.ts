import { describe, expect, test } from "vitest";
import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import type { NodeContext } from "../model/node-context.ts";
import { describeProgram } from "../model/programs.ts";
import type { LastGood } from "../model/remembered.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { planned } from "./testing/plan.ts";

const node: NodeContext = {
  name: "node-1",
  overlay: "vxlan",
  addresses: [],
  podCIDRs: [],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};
type Texts = Record<string, string>;
const WEB = { app: "web" };
const pod = (name: string, { labels = {}, annotations = {} }: { labels?: Texts; annotations?: Texts }) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", uid: `u-${name}`, labels, annotations },
  spec: { nodeName: "node-1", containers: [{ name: "c" }] },
});
const service = (name: string, selector: Texts, annotations: Texts) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "shop", annotations },
  spec: { selector },
});

describe("users' programs", () => {
  const RULE = { "ebpf-limit": "drop egress -DN=10" };
  const programs = (documents: object[], settings = DEFAULT_RULE_SETTINGS, before: LastGood = new Map()) => {
    const text = documents.map((one) => JSON.stringify(one)).join("\n---\n");
    const objects = parseManifests(text, "x.yaml").objects.map(({ object }) => object);
    const { state, lastGood } = planned(before, { node, objects, endpoints: [], problems: [], settings });
    const found = [...state.programs].flatMap(([key, rules]) =>
      rules.map((rule) => `${key} ${rule.direction} ${describeProgram(rule)} by ${rule.source} on ${rule.object}`),
    );
    const problems = state.problems.map(({ object, path, message }) => `${object} ${path} ${message}`);
    return { found, problems, lastGood };
  };

  test.each<[string, Texts, object[], string[], string[]?]>([
    ["the pod's annotation", RULE, [], ["shop/a egress drop -DN=10 by ebpf-limit on Pod/shop/a"]],
    [
      "Weir's own key first",
      { ...RULE, "weir.dev/ebpf-limit": "mark egress" },
      [],
      ["shop/a egress mark by weir.dev/ebpf-limit on Pod/shop/a"],
    ],
    [
      "a Service's annotation",
      {},
      [service("s", WEB, RULE)],
      ["shop/a egress drop -DN=10 by Service/shop/s on Service/shop/s"],
    ],
    [
      "the pod's own before a Service's, by direction",
      { "ebpf-limit": "mark egress" },
      [service("s", WEB, { "ebpf-limit": "drop egress; drop ingress" })],
      ["shop/a ingress drop by Service/shop/s on Service/shop/s", "shop/a egress mark by ebpf-limit on Pod/shop/a"],
      [
        'Service/shop/s metadata.annotations["ebpf-limit"] says drop egress, but for shop/a Pod/shop/a comes first (mark egress)',
      ],
    ],
  ])("%s", (_what, annotations, others, expected, told = []) => {
    const { found, problems } = programs([pod("a", { labels: WEB, annotations }), ...others]);
    expect({ found: found.toSorted(), problems }).toEqual({ found: expected.toSorted(), problems: told });
  });

  test("two Services with different programs: the first by name wins, and both get a problem", () => {
    const services = [service("y", WEB, { "ebpf-limit": "drop egress -DN=2" }), service("x", WEB, RULE)];
    const { found, problems } = programs([pod("a", { labels: WEB }), ...services]);
    expect(found).toEqual(["shop/a egress drop -DN=10 by Service/shop/x on Service/shop/x"]);
    expect(problems.map((one) => one.split(" ")[0])).toEqual(["Service/shop/x", "Service/shop/y"]);
    expect(problems[1]).toContain("says drop -DN=2 egress, but Service/shop/x says drop -DN=10 egress");
  });

  test("an invalid value leaves the last valid one in force; a setting disables the short key", () => {
    const good = programs([pod("a", { annotations: RULE })]);
    const bad = programs(
      [pod("a", { annotations: { "ebpf-limit": "drop egress -DN=1;x" } })],
      undefined,
      good.lastGood,
    );
    expect(bad.found).toEqual(good.found);
    expect(bad.problems[0]).toMatch(
      /^Pod\/shop\/a metadata\.annotations\["ebpf-limit"\] .*the last good value stays: drop egress -DN=10$/,
    );
    const off = { ...DEFAULT_RULE_SETTINGS, ebpfLimit: false };
    expect(programs([pod("a", { annotations: RULE })], off).found).toEqual([]);
    expect(programs([pod("a", { annotations: { "weir.dev/ebpf-limit": "drop egress" } })], off).found).toHaveLength(1);
  });
});
