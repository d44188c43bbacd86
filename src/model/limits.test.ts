import { describe, expect, it } from "vitest";
import { DEFAULT_RULE_SETTINGS, limitsOf, type PodRules, type RuleSettings, reduceRules } from "./limits.ts";

type Maps = { annotations?: Record<string, string>; labels?: Record<string, string>; uid?: string };
const pod = ({ annotations = {}, labels = {}, uid = "u1" }: Maps) => ({
  name: "p",
  namespace: "shop",
  uid,
  annotations,
  labels,
});
const reduce = (maps: Maps, previous?: PodRules, settings?: Partial<RuleSettings>) =>
  reduceRules(previous, pod(maps), { ...DEFAULT_RULE_SETTINGS, ...settings });
const short = (maps: Maps, settings?: Partial<RuleSettings>) => {
  const { limits, problems } = reduce(maps, undefined, settings);
  return [
    ...limits.map((rule) => `${rule.direction} ${rule.rate}`),
    ...problems.map((one) => `! ${one.path}: ${one.message}`),
  ];
};

describe("one key", () => {
  it.each([
    ["bandwidth", "10 mbps egress", ["egress 10000000"]],
    ["bandwidth", "  64   kbits\tingress ", ["ingress 64000"]],
    ["bandwidth", "8000 bps ingress", ["ingress 8000"]],
    ["bandwidth", "10 mbps egress; 20 mbps ingress", ["ingress 20000000", "egress 10000000"]],
    ["bandwidth", "10 mbps egress,20 mbps ingress", ["ingress 20000000", "egress 10000000"]],
    ["bandwidth", "1000000 mbps egress", ["egress 1000000000000"]],
    ["weir.dev/bandwidth", "1 mbps egress", ["egress 1000000"]],
    ["weir.dev/ingress-bandwidth", "1Mi", ["ingress 1048576"]],
    ["weir.dev/egress-bandwidth", "1.5G", ["egress 1500000000"]],
    ["kubernetes.io/ingress-bandwidth", "10M", ["ingress 10000000"]],
    ["kubernetes.io/egress-bandwidth", "1e7", ["egress 10000000"]],
    ["qos.projectcalico.org/egressBandwidth", "500k", ["egress 500000"]],
    ["qos.projectcalico.org/ingressBandwidth", "500k", ["ingress 500000"]],
    ["other/bandwidth", "10 mbps egress", []],
  ])("annotation %s: %j", (key, value, expected) => expect(short({ annotations: { [key]: value } })).toEqual(expected));

  it.each([
    ["10M", "megabits", ["egress 10000000"]],
    ["10M", "megabytes", ["egress 80000000"]],
    ["007M", "megabits", ["egress 7000000"]],
  ] as const)("label rate %s in %s", (value, rateUnit, expected) =>
    expect(short({ labels: { rate: value } }, { rateUnit })).toEqual(expected),
  );
});

describe("a bad value", () => {
  const HINT = /for example "10 mbps egress".*; it sets no limit$/;
  it.each([
    ["", HINT],
    ["10 mbps", HINT],
    ["10mbps egress", HINT],
    ["10 Mbps egress", HINT],
    ["1.5 mbps egress", HINT],
    ["-1 mbps egress", HINT],
    ["10 mbps egress please", HINT],
    ["10 mbps outwards", HINT],
    ["10 mbps egress;", HINT],
    ["10 constructor egress", HINT],
    ["$(reboot) mbps egress", HINT],
    ["1 mbps egress; 2 mbps egress", /gives egress twice/],
    ["0 mbps egress", /below the smallest rate, 8 kbit\/s; to lift a limit, remove the key/],
    ["7999 bps egress", /below the smallest rate/],
    ["1000001 mbps egress", /above the largest rate, 1 Tbit\/s/],
    [`${"9".repeat(300)} mbps egress`, /longer than 256/],
    ["\u001b[31m10 mbps egress\n", /"\\u001b\[31m10 mbps egress\\u000a"/],
  ])("bandwidth %j", (value, message) => {
    const { limits, problems } = reduce({ annotations: { bandwidth: value } });
    expect(limits).toEqual([]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ object: "Pod/shop/p", path: 'metadata.annotations["bandwidth"]' });
    expect(problems[0]?.message).toMatch(message);
  });

  it.each(["10", "M", "10m", "10MM", "1.5M", "fast", "0M", "-1M"])("label rate %j", (value) => {
    const { limits, problems } = reduce({ labels: { rate: value } });
    expect([limits.length, problems.map((one) => one.path)]).toEqual([0, ['metadata.labels["rate"]']]);
  });

  it("keeps the key's last good rule, whichever key would come next", () => {
    const first = reduce({ annotations: { bandwidth: "10 mbps egress" }, labels: { rate: "5M" } });
    const second = reduce({ annotations: { bandwidth: "10 mpbs egress" }, labels: { rate: "5M" } }, first.rules);
    expect(second.limits).toEqual(first.limits);
    expect(second.problems[0]?.message).toMatch(/the last good value stays: 10 Mbit\/s egress$/);
    const third = reduce({ annotations: { bandwidth: "still bad" } }, second.rules);
    expect(limitsOf(third.rules)).toEqual(first.limits);
  });

  it("has no last good value on another pod of the same name", () => {
    const first = reduce({ annotations: { bandwidth: "10 mbps egress" } });
    expect(reduce({ uid: "u2", annotations: { bandwidth: "bad" } }, first.rules).limits).toEqual([]);
  });
});

describe("several keys", () => {
  const both = {
    annotations: { bandwidth: "10 mbps egress", "kubernetes.io/egress-bandwidth": "20M" },
    labels: { rate: "10M" },
  };
  it("takes the first and reports what disagrees", () => {
    expect(short(both)).toEqual([
      "egress 10000000",
      '! metadata.annotations["kubernetes.io/egress-bandwidth"]: says 20 Mbit/s egress, but "bandwidth" says 10 Mbit/s and comes first; remove one of them',
    ]);
  });
  it("takes Weir's own name before all", () => {
    const annotations = { ...both.annotations, "weir.dev/egress-bandwidth": "1M" };
    expect(reduce({ annotations }).limits).toMatchObject([
      { rate: 1_000_000, source: "weir.dev/egress-bandwidth", configured: "1M" },
    ]);
  });
  it("removes a rule with its key", () => {
    const { rules } = reduce(both);
    const next = reduce({ labels: both.labels }, rules);
    expect(next.limits).toMatchObject([{ source: "rate" }]);
    expect(reduce({}, next.rules)).toMatchObject({ limits: [], rules: { byKey: {} }, problems: [] });
  });
  it.each([
    [{ bandwidth: false }, ["egress 20000000", expect.stringMatching(/labels\["rate"\]/)]],
    [{ bandwidth: false, kubernetes: false }, ["egress 10000000"]],
    [{ bandwidth: false, kubernetes: false, rate: false }, []],
  ])("reads no key that is off: %j", (settings, expected) => expect(short(both, settings)).toEqual(expected));
});
