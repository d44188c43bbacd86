/** Keys of pods that `weir explain` knows: what a user may write, and what it means. */
export interface KeyTopic {
  name: string;
  where: string;
  grammar: string;
  example: string;
  meaning: string;
  setting: string;
}

export const keyTopics: readonly KeyTopic[] = [
  {
    name: "bandwidth",
    where: "annotation of a Pod or of a workload's pod template",
    grammar: '"<whole number> <bps|kbits|mbps> <ingress|egress>", several with ";" between them',
    example: 'bandwidth: "10 mbps egress"',
    meaning: "limits what the pod receives (ingress) or sends (egress), in bits a second: kbits is 10^3, mbps 10^6",
    setting: "rules.bandwidth",
  },
  {
    name: "rate",
    where: "label of a Pod or of a workload's pod template",
    grammar: "<whole number>M",
    example: "rate: 10M",
    meaning: "limits what the pod sends; M is megabits a second, or megabytes with rules.rateUnit",
    setting: "rules.rate, rules.rateUnit",
  },
  {
    name: "kubernetes.io/ingress-bandwidth",
    where: "annotation of a Pod or of a workload's pod template",
    grammar: "a Kubernetes quantity in bits a second",
    example: "kubernetes.io/ingress-bandwidth: 10M",
    meaning: "limits what the pod receives",
    setting: "rules.kubernetes",
  },
  {
    name: "kubernetes.io/egress-bandwidth",
    where: "annotation of a Pod or of a workload's pod template",
    grammar: "a Kubernetes quantity in bits a second",
    example: "kubernetes.io/egress-bandwidth: 10M",
    meaning: "limits what the pod sends",
    setting: "rules.kubernetes",
  },
];
