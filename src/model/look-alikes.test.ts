import { describe, expect, test } from "vitest";
import { DEFAULT_RULE_SETTINGS, RULE_KEYS } from "./limits.ts";
import { lookAlikes } from "./look-alikes.ts";

type Texts = Record<string, string>;
const told = (metadata: { labels?: Texts; annotations?: Texts }, settings = DEFAULT_RULE_SETTINGS): string[] =>
  lookAlikes(metadata, settings).map(({ map, key, message }) => `${map} ${key}: ${message}`);

const INGRESS = 'did you mean the annotation "kubernetes.io/ingress-bandwidth"?';
const EGRESS = 'did you mean the annotation "kubernetes.io/egress-bandwidth"?';

describe("keys that look like rules and are none", () => {
  test.each<[string, string, string]>([
    ["ingress-bandwith", "10M", INGRESS],
    ["Egress-Bandwidth", "10M", EGRESS],
    ["egressBandwidth", "10M", EGRESS],
    ["ingress-bandwidth", "10M", INGRESS],
    ["kubernetes.io/ingress-bandwith", "10M", INGRESS],
    ["kubernetes.io/Egress-Bandwidth", "fast", EGRESS],
    ["kubernets.io/egress-bandwidth", "10M", EGRESS],
    ["k8s.io/ingress-bandwidth", "10M", INGRESS],
    ["kubernetes.io/egress_bandwidth", "10M", EGRESS],
    ["weir.dev/ingress-bandwith", "10M", 'did you mean the annotation "weir.dev/ingress-bandwidth"?'],
    ["weir.dev/bandwith", "10 mbps egress", 'did you mean the annotation "weir.dev/bandwidth"?'],
    ["qos.projectcalico.org/ingressBandwith", "10M", 'annotation "qos.projectcalico.org/ingressBandwidth"?'],
    ["Bandwidth", "10 mbps egress", 'did you mean the annotation "bandwidth"?'],
    ["bandwith", "10 mbps egress", 'did you mean the annotation "bandwidth"?'],
    ["bandwdith", "10M", 'did you mean the annotation "bandwidth"?'],
    ["Loss", "uniform egress 2%", 'did you mean the annotation "loss"?'],
    ["ebpf-limits", "drop egress", 'did you mean the annotation "ebpf-limit"?'],
    ["rate", "10M", "does nothing as an annotation; write it as a label"],
    ["kubernetes.io/bandwidth-ingress", "10M", INGRESS],
    ["bandwidthEgress", "10M", EGRESS],
    ["limit-ebpf", "drop egress", 'did you mean the annotation "ebpf-limit"?'],
    ["weir.dev/los", "uniform egress 2%", 'did you mean the annotation "weir.dev/loss"?'],
    ["weir.dev/Bandwidths", "10M", 'did you mean the annotation "weir.dev/bandwidth"?'],
    [
      "weir.dev/delay",
      "50ms",
      "Weir has no such key; its own are weir.dev/ingress-bandwidth, weir.dev/egress-bandwidth",
    ],
  ])("annotation %s: %s", (key, value, message) => {
    expect(told({ annotations: { [key]: value } })).toEqual([
      expect.stringContaining(`annotations ${key}: does nothing`),
    ]);
    expect(told({ annotations: { [key]: value } })[0]).toContain(message);
  });

  test.each<[string, string, string]>([
    ["kubernetes.io/ingress-bandwidth", "10M", "does nothing as a label; write it as an annotation"],
    ["kubernetes.io/egress-bandwidth", "fast", "does nothing as a label; write it as an annotation"],
    ["weir.dev/limit", "10M", "does nothing: Weir has no such key; its own are weir.dev/ingress-bandwidth"],
    ["weir.dev/loss", "2", "does nothing as a label; write it as an annotation"],
    ["bandwidth", "10M", "does nothing as a label; write it as an annotation"],
    ["Rate", "10M", 'did you mean the label "rate"?'],
    ["ingress-bandwidth", "10M", INGRESS],
  ])("label %s: %s", (key, value, message) => {
    expect(told({ labels: { [key]: value } })).toEqual([expect.stringContaining(message)]);
  });

  test("on an object whose own keys do nothing, the place is named", () => {
    const where = { here: false, kind: "Deployment", instead: "spec.template.metadata" } as const;
    const annotations = {
      "kubernetes.io/egress-bandwidth": "10M",
      bandwidth: "1 mbps egress",
      "ingress-bandwith": "1M",
    };
    const labels = { bandwidth: "high", rate: "gold", app: "web" };
    expect(lookAlikes({ annotations, labels }, DEFAULT_RULE_SETTINGS, where).map(({ message }) => message)).toEqual([
      "does nothing on a Deployment itself; write it in spec.template.metadata.annotations",
      "does nothing on a Deployment itself; write it in spec.template.metadata.annotations",
      'does nothing; did you mean the annotation "kubernetes.io/ingress-bandwidth" in spec.template.metadata?',
    ]);
  });
});

describe("what is left alone", () => {
  const ORDINARY: Texts = {
    app: "web",
    tier: "backend",
    bandwidth: "high",
    rate: "gold",
    loss: "leader",
    Loss: "none",
    boss: "anna",
    date: "2026-01-01",
    "bandwidth-class": "gold",
    "egress-policy": "strict",
    "ingress-class": "nginx",
    "rate-limit": "10",
    "kubernetes.io/ingress.class": "nginx",
    "kubernetes.io/name": "web",
    "app.kubernetes.io/name": "web",
    "pod-template-hash": "5d4f8c7b6",
    "ovn.kubernetes.io/ingress_rate": "3",
    "example.com/ingress-bandwidth": "10M",
    "acme.io/bandwidth": "10M",
    "nginx.ingress.kubernetes.io/limit-rate": "10",
    "cni.projectcalico.org/podIP": "10.0.0.1",
    "qos.projectcalico.org/ingressBurst": "10M",
    "kubernetes.io/bandwidth-class": "gold",
    "bandwidth-of-ingress": "10M",
    "weir.dev/one-off": "true",
    "weir.dev/lab": "default",
  };
  test.each(Object.entries(ORDINARY))("%s: %s", (key, value) => {
    const rule = RULE_KEYS.some((one) => one.key === key);
    if (!rule) expect(told({ annotations: { [key]: value } })).toEqual([]);
    expect(told({ labels: { [key]: value } })).toEqual([]);
  });
  test("rules themselves, and keys that a setting turns off", () => {
    const rules = Object.fromEntries(
      RULE_KEYS.filter(({ map }) => map === "annotations").map(({ key }) => [key, "10M"]),
    );
    expect(told({ annotations: rules, labels: { rate: "10M" } })).toEqual([]);
    const off = { ...DEFAULT_RULE_SETTINGS, kubernetes: false, calico: false };
    expect(told({ labels: { "kubernetes.io/ingress-bandwidth": "10M" } }, off)).toEqual([]);
    expect(told({ annotations: { "ingress-bandwith": "10M" } }, off)).toEqual([
      expect.stringContaining('"weir.dev/ingress-bandwidth"'),
    ]);
  });
  test.each(["__proto__", "constructor", "", "/", "//", "kubernetes.io/", "a".repeat(100_000), "\u0000", "é/ingress"])(
    "hostile key %#",
    (key) => {
      expect(told({ annotations: Object.fromEntries([[key, "10M"]]) })).toEqual([]);
    },
  );
  test("of a thousand look-alikes five are told, and only so many keys are looked at", () => {
    const many = (count: number, key: (index: number) => string): Texts =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [key(index), "1M"]));
    expect(
      told({ annotations: many(1000, (index) => `ingress-bandwidt${index % 10}${"-".repeat(index / 10)}`) }),
    ).toHaveLength(5);
    expect(told({ annotations: { ...many(1000, (index) => `x${index}`), "ingress-bandwith": "1M" } })).toEqual([]);
  });
});
