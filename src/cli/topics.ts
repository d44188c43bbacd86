/** Keys of pods and Services that `weir explain` describes: their grammar and meaning. */
export interface KeyTopic {
  name: string;
  where: string;
  grammar: string;
  example: string;
  meaning: string;
  setting: string;
}

const ON = "of a Pod, of a workload's pod template, or of a Service, for the pods that it selects";
const annotation = `annotation ${ON}`;
const both = "limits what the pod receives (ingress) or sends (egress), in bits a second: kbits is 10^3, mbps 10^6";
const words = '"<whole number> <bps|kbits|mbps> <ingress|egress>", two with ";" between them';

function quantity(name: string, direction: "ingress" | "egress", setting: string): KeyTopic {
  return {
    name,
    where: annotation,
    grammar: "a Kubernetes quantity in bits a second",
    example: `${name}: 10M`,
    meaning: `limits what the pod ${direction === "ingress" ? "receives" : "sends"}`,
    setting,
  };
}

const always = "always read";

/** In order of precedence: of two keys for one direction the earlier one applies. */
export const keyTopics: readonly KeyTopic[] = [
  quantity("weir.dev/ingress-bandwidth", "ingress", always),
  quantity("weir.dev/egress-bandwidth", "egress", always),
  {
    name: "weir.dev/bandwidth",
    where: annotation,
    grammar: words,
    example: 'weir.dev/bandwidth: "10 mbps egress"',
    meaning: both,
    setting: always,
  },
  {
    name: "bandwidth",
    where: annotation,
    grammar: words,
    example: 'bandwidth: "10 mbps egress"',
    meaning: both,
    setting: "rules.bandwidth (weir explain config)",
  },
  quantity("qos.projectcalico.org/ingressBandwidth", "ingress", "rules.calico (weir explain config)"),
  quantity("qos.projectcalico.org/egressBandwidth", "egress", "rules.calico (weir explain config)"),
  quantity("kubernetes.io/ingress-bandwidth", "ingress", "rules.kubernetes (weir explain config)"),
  quantity("kubernetes.io/egress-bandwidth", "egress", "rules.kubernetes (weir explain config)"),
  {
    name: "rate",
    where: `label ${ON}`,
    grammar: "<whole number>M",
    example: "rate: 10M",
    meaning: "limits what the pod sends; M is megabits a second, or megabytes with rules.rateUnit",
    setting: "rules.rate, rules.rateUnit (weir explain config)",
  },
  ...(["weir.dev/loss", "loss"] as const).map((name) => ({
    name,
    where: annotation,
    grammar:
      '"uniform <ingress|egress> <0% to 100%>" or "exponential <ingress|egress> <0 to 1000>", two with ";" between them',
    example: `${name}: "uniform egress 2%"`,
    meaning: "loses packets by chance; exponential with a probability of exp(-5 × threshold / 1000)",
    setting: name === "loss" ? "rules.loss (weir explain config)" : always,
  })),
  ...(["weir.dev/ebpf-limit", "ebpf-limit"] as const).map((name) => ({
    name,
    where: annotation,
    grammar: '"<name> <ingress|egress> [-DNAME=<whole number> …]", two with ";" between them',
    example: `${name}: "drop-one-of egress -DN=100"`,
    meaning: "runs a program of the administrator's list on the pod's packets: it drops or changes them",
    setting: name === "ebpf-limit" ? "rules.ebpfLimit (weir explain config)" : always,
  })),
];
