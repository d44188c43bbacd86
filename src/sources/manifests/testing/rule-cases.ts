/** Specs of Weir's kinds that fail each check, with the agent's message. */

const LOSS = { pod: "a", loss: "1%" };

/** Kind, spec, and field with the beginning of the message. */
export const REFUSED: [kind: string, spec: object, expected: string][] = [
  ["Limit", { egress: "1M" }, "spec: needs one of pod, selector, service"],
  ["Limit", { pod: "a", service: "b", egress: "1M" }, "spec.service: has pod and service; write one of them"],
  ["Limit", { pod: "a" }, "spec: needs ingress or egress"],
  ["Limit", { pod: "a", egress: "1m" }, "spec.egress: "],
  ["Limit", { pod: "a", egress: "2M", egres: "1M" }, "spec: "],
  ["Limit", { pod: "A;b", egress: "1M" }, "spec.pod: "],
  ["Impairment", { pod: "a" }, "spec: needs one of loss, duplicate, corrupt, reorder, delay, pace"],
  ["Impairment", { ...LOSS, loss: "101%" }, 'spec.loss: "101%" is no percentage'],
  ["Impairment", { ...LOSS, loss: { exponential: { threshold: 1001 } } }, "spec.loss.exponential.threshold: "],
  ["Impairment", { ...LOSS, loss: 2 }, "spec.loss: must be a percentage"],
  ["Impairment", { ...LOSS, loss: true }, "spec.loss: must be a percentage"],
  ["Impairment", { ...LOSS, loss: ["1%"] }, "spec.loss: must be a percentage"],
  ["Impairment", { ...LOSS, loss: { none: 1 } }, "spec.loss: must be a percentage"],
  ["Impairment", { ...LOSS, loss: {} }, "spec.loss: must be a percentage"],
  ["Impairment", { ...LOSS, loss: { burst: { p: "1%" } } }, "spec.loss.burst.r: is required; write a percentage"],
  ["Impairment", { ...LOSS, corrupt: "0.0000001%" }, "spec.corrupt: "],
  ["Impairment", { ...LOSS, duplicate: "1e1%" }, "spec.duplicate: "],
  ["Impairment", { ...LOSS, pace: "7999" }, "spec.pace: "],
  ["Impairment", { ...LOSS, direction: "up" }, "spec.direction: "],
  ["Impairment", { ...LOSS, reorder: "1%" }, "spec.reorder: needs delay"],
  ["Impairment", { ...LOSS, delay: { latency: "11s" } }, "spec.delay.latency: must be 1us to 10s"],
  ["Impairment", { ...LOSS, delay: { latency: "10ms", jitter: "20ms" } }, "spec.delay.jitter: is longer than latency"],
  ["Impairment", { ...LOSS, seed: -1 }, "spec.seed: "],
  ["Impairment", { ...LOSS, seed: 2 ** 32 }, "spec.seed: "],
  ["Impairment", { ...LOSS, lease: "0s" }, "spec.lease: must be 1s to 24h"],
  ["Impairment", { ...LOSS, until: "tomorrow" }, "spec.until: must be a time such as"],
  ["Impairment", { ...LOSS, until: [{}] }, "spec.until: "],
  ["Impairment", { loss: "1%", selector: { matchLabels: { a: "-" } } }, "spec.selector.matchLabels.a: "],
  [
    "Impairment",
    { loss: "1%", selector: { matchExpressions: [{ key: "a", operator: "In" }] } },
    "spec.selector.matchExpressions[0].values: In needs values",
  ],
  [
    "Impairment",
    { loss: "1%", selector: { matchExpressions: [{ key: "a", operator: "Exists", values: ["b"] }] } },
    "spec.selector.matchExpressions[0].values: Exists takes no values",
  ],
  [
    "Impairment",
    {
      loss: "1%",
      selector: { matchExpressions: Array.from({ length: 33 }, () => ({ key: "a", operator: "Exists" })) },
    },
    "spec.selector.matchExpressions: has more than 32 conditions",
  ],
  ["Impairment", { ...LOSS, match: { peers: [{}] } }, "spec.match.peers[0]: needs one of cidr, podSelector, service"],
  ["Impairment", { ...LOSS, match: { peers: [{ cidr: "10.0.0.1/8" }] } }, "spec.match.peers[0].cidr: "],
  [
    "Impairment",
    { ...LOSS, match: { peers: [{ podSelector: {}, except: ["10.0.0.0/8"] }] } },
    "spec.match.peers[0].except: goes with cidr alone",
  ],
  [
    "Impairment",
    { ...LOSS, match: { peers: [{ cidr: "10.0.0.0/8", except: ["10.1.0.0/16", "11.0.0.0/16"] }] } },
    "spec.match.peers[0].except: 11.0.0.0/16 is not within cidr",
  ],
  [
    "Impairment",
    { ...LOSS, match: { peers: [{ cidr: "10.0.0.0/16", except: ["10.0.0.0/8"] }] } },
    "spec.match.peers[0].except: 10.0.0.0/8 is not within cidr",
  ],
  [
    "Impairment",
    { ...LOSS, match: { peers: [{ cidr: "fd00::/8", except: ["10.0.0.0/8"] }] } },
    "spec.match.peers[0].except: 10.0.0.0/8 is not within cidr",
  ],
  [
    "Impairment",
    { ...LOSS, match: { ports: [{ protocol: "ICMP", port: 1 }] } },
    "spec.match.ports[0].port: ICMP has no ports",
  ],
  [
    "Impairment",
    { ...LOSS, match: { ports: [{ protocol: "TCP", port: 9, endPort: 8 }] } },
    "spec.match.ports[0].endPort: is below port",
  ],
  [
    "Impairment",
    { ...LOSS, match: { ports: Array.from({ length: 9 }, () => ({ protocol: "TCP" })) } },
    "spec.match.ports: ",
  ],
];

/** Almost valid specs, and the end of the message: a valid value. */
export const NEARLY: [kind: string, spec: object, path: string, said: string][] = [
  ["Impairment", { pod: "a", delay: "50ms" }, "spec.delay", "write {latency: 50ms}"],
  ["Impairment", { pod: "a", delay: 50 }, "spec.delay", 'write {latency: "50ms"}'],
  ["Impairment", { pod: "a", delay: {} }, "spec.delay.latency", 'is required; write a duration such as "50ms"'],
  ["Impairment", { pod: "a", delay: { latency: 50 } }, "spec.delay.latency", 'write "50ms"'],
  ["Impairment", { pod: "a", delay: { latency: "50" } }, "spec.delay.latency", '(did you mean "50ms"?)'],
  ["Impairment", { ...LOSS, lease: 30 }, "spec.lease", 'write "30s"'],
  ["Impairment", { ...LOSS, lease: "5min" }, "spec.lease", '(did you mean "5m"?)'],
  ["Impairment", { pod: "a", loss: 5 }, "spec.loss", 'write "5%"'],
  ["Impairment", { pod: "a", loss: "5" }, "spec.loss", '(did you mean "5%"?)'],
  ["Impairment", { pod: "a", loss: 0.05 }, "spec.loss", 'write "5%" or "0.05%"'],
  ["Impairment", { pod: "a", duplicate: 5 }, "spec.duplicate", 'write "5%"'],
  ["Impairment", { pod: "a", loss: { burst: { p: 1, r: "20%" } } }, "spec.loss.burst.p", 'write "1%"'],
  ["Impairment", { pod: "a", loss: { exponential: 300 } }, "spec.loss.exponential", "write {threshold: 300}"],
  ["Impairment", { ...LOSS, los: "5%" }, "spec", 'no field "los"; did you mean loss?'],
  ["Impairment", { ...LOSS, direction: "out" }, "spec.direction", "did you mean egress?"],
  ["Impairment", { ...LOSS, seed: "7" }, "spec.seed", "write 7 without quotes"],
  ["Impairment", { ...LOSS, exempt: { dns: "true" } }, "spec.exempt.dns", "write true without quotes"],
  [
    "Impairment",
    { ...LOSS, match: { ports: [{ port: 80 }] } },
    "spec.match.ports[0].protocol",
    "is required; write one of TCP, UDP, SCTP, ICMP",
  ],
  [
    "Impairment",
    { ...LOSS, match: { ports: [{ protocol: "tcp" }] } },
    "spec.match.ports[0].protocol",
    "did you mean TCP?",
  ],
  ["Impairment", { ...LOSS, match: { ports: [80] } }, "spec.match.ports[0]", "write {protocol: TCP, port: 80}"],
  ["Impairment", { ...LOSS, match: { ports: 80 } }, "spec.match.ports", "write [{protocol: TCP, port: 80}]"],
  ["Impairment", { ...LOSS, match: { peers: ["10.0.0.1"] } }, "spec.match.peers[0]", 'write {cidr: "10.0.0.1/32"}'],
  [
    "Impairment",
    { ...LOSS, match: { peers: [{ cidr: "10.0.0.1" }] } },
    "spec.match.peers[0].cidr",
    'one address is "10.0.0.1/32"',
  ],
  [
    "Impairment",
    { ...LOSS, match: { peers: [{ service: "web" }] } },
    "spec.match.peers[0].service",
    'write {name: "web"}',
  ],
  [
    "Impairment",
    { loss: "1%", selector: { app: "web" } },
    "spec.selector",
    'a label goes below matchLabels: {matchLabels: {"app": …}}',
  ],
  ["Impairment", { ...LOSS, pace: 10 }, "spec.pace", 'write "10M"'],
  ["Limit", { pod: "a", egress: 10_000_000 }, "spec.egress", 'write "10M"'],
  ["Limit", { pod: "a", egress: 1_500_000_000 }, "spec.egress", 'write "1500M"'],
  ["Limit", { pod: "a", egress: "10m" }, "spec.egress", '(did you mean "10M"?)'],
  ["Limit", { pod: "a", egress: null }, "spec.egress", 'has no value; write a rate such as "10M", in bits a second'],
  ["Limit", { pod: ["a"], egress: "1M" }, "spec.pod", "labels choose several, by selector"],
];

export const TAKEN: [kind: string, spec: object][] = [
  ["Limit", { selector: {}, ingress: "10M", egress: "1.5G" }],
  ["Impairment", LOSS],
  [
    "Impairment",
    { service: "db", direction: "ingress", delay: { latency: "50ms", jitter: "10ms" }, reorder: "25%", pace: "10M" },
  ],
  [
    "Impairment",
    {
      ...LOSS,
      loss: { burst: { p: "0.1%", r: "10%", lossGood: "0%", lossBad: "80%" } },
      seed: 0,
      until: "2026-01-02T15:04:05+01:00",
    },
  ],
];
