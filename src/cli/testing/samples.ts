import type { Plain } from "../../api/backend.ts";
import type { Items } from "../../api/schemas.ts";
import type { MemoryState } from "../../api/testing/memory.ts";
import { NOT_COUNTED } from "../../model/limit-counts.ts";

type Sample<K extends keyof Items> = Plain<Items[K]>;

/** Agent state of a small shop's first node. */
export function shop(): Partial<MemoryState> {
  const web: Sample<"pods"> = {
    namespace: "shop",
    name: "web-10",
    ips: ["10.244.1.5", "fd00:10:244:1::5"],
    device: "weir0123456789a",
    resourceVersion: "7",
    problems: [],
  };
  const bad: Sample<"pods"> = {
    ...web,
    name: "web-9",
    ips: [],
    device: null,
    problems: [{ object: "Pod/shop/web-9", path: "metadata.labels.rate", message: 'read "x": no rate\u001b[31m\n' }],
  };
  const limit: Sample<"limits"> = {
    namespace: "shop",
    pod: "web-10",
    direction: "ingress",
    source: "kubernetes.io/ingress-bandwidth",
    written: "10M",
    configured: 10_000_000,
    effective: 10_000_000,
    measured: 9_987_654,
    measuredAge: 0.5,
    received: { packets: 5120, bytes: 7_680_000 },
    sent: { packets: 5000, bytes: 7_500_000 },
    dropped: { packets: 100, bytes: 150_000 },
    queued: { packets: 20, bytes: 30_000 },
    lost: { packets: 0, bytes: 0 },
    marked: 12,
    delayed: 4000,
    wait: { p50: 0.01, p99: 0.1 },
    waits: [1000, 200, 800, 1500, 600, 600, 300, 0, 0, 0],
    mechanism: "htb",
    reason: null,
  };
  const unenforced: Sample<"limits"> = {
    ...limit,
    direction: "egress",
    source: "bandwidth",
    written: "1500 mbps egress",
    configured: 1_500_000_000,
    effective: null,
    measured: null,
    measuredAge: null,
    ...NOT_COUNTED,
    mechanism: null,
    reason: "kernel has no htb",
  };
  return {
    pods: [web, bad],
    limits: [limit, unenforced],
    impairments: [
      {
        namespace: "shop",
        pod: "web-10",
        direction: "egress",
        source: "loss",
        configured: "uniform egress 2%",
        match: null,
        effective: "loss 2%",
        state: "active",
        remaining: 59.5,
        packets: 100_000,
        lost: 2013,
        duplicated: 0,
        corrupted: 0,
        reordered: 0,
        delayed: 0,
        bursts: 1973,
        spared: 0,
        meanDelay: null,
        effects: { loss: { model: "uniform", probability: 0.02 } },
        expectedLoss: 0.02,
        measuredLoss: 0.02013,
        lossLow: 0.01927,
        lossHigh: 0.02102,
        reason: null,
      },
    ],
    programs: [
      {
        namespace: "shop",
        pod: "web-10",
        direction: "egress",
        source: "ebpf-limit",
        program: "drop-one-of",
        configured: "drop-one-of egress -DN=100",
        effective: "drop-one-of -DN=100",
        build: "0123456789ab",
        state: "active",
        packets: 1000,
        bytes: 100_000,
        dropped: 10,
        other: 0,
        reason: null,
      },
    ],
    ports: [
      {
        name: "router:weir0123456789a",
        instance: "router",
        function: "router",
        peer: "device weir0123456789a",
        device: "weir0123456789a",
        state: "up",
        ingress: ["limit:shop/web-10:egress"],
        egress: [],
        received: { packets: 1200, bytes: 1_800_000 },
        sent: { packets: 7, bytes: 700 },
      },
    ],
    chains: [
      {
        port: "router:weir0123456789a",
        direction: "egress",
        hops: [],
        end: "device weir0123456789a",
      },
      {
        port: "router:weir0123456789a",
        direction: "ingress",
        hops: [{ instance: "limit:shop/web-10:egress", function: "limit" }],
        end: "router",
      },
    ],
    drops: [
      {
        port: "router:weir0123456789a",
        direction: "egress",
        reason: "no_route",
        description: "no route to the destination",
        packets: 4,
        bytes: 400,
      },
    ],
    problems: bad.problems,
    endpoints: [
      {
        namespace: "shop",
        name: "web-10",
        uid: "5e0f",
        netns: "/run/netns/x",
        ifname: "eth0",
        device: "weir0123456789a",
        mac: "02:00:00:00:00:01",
        ips: ["10.244.1.5"],
      },
    ],
  };
}
