import { describe, expect, test } from "vitest";
import { NOT_COUNTED } from "../model/limit-counts.ts";
import { createMetrics } from "./metrics.ts";
import type * as schema from "./schemas.ts";
import { MemoryBackend, type MemoryState } from "./testing/memory.ts";

const pod = (name: string, device: string): MemoryState["pods"][number] => ({
  ...{ namespace: "shop", name, ips: ["10.244.1.2"], device, resourceVersion: "1", problems: [] },
});
const port = (name: string, packets: number): MemoryState["ports"][number] => ({
  ...{ name, instance: "router", function: "router", peer: "x", device: null, state: "up", ingress: [], egress: [] },
  ...{ received: { packets, bytes: packets * 100 }, sent: { packets: packets * 2, bytes: packets * 200 } },
});
const drop = (
  name: string,
  direction: schema.Drop["direction"],
  reason: string,
  packets: number,
): MemoryState["drops"][number] => ({ port: name, direction, reason, description: "", packets, bytes: packets * 100 });
const limit: MemoryState["limits"][number] = {
  ...{ namespace: "shop", pod: "web-0", direction: "egress", source: "bandwidth", written: "10M", configured: 10e6 },
  ...{ effective: 10e6, measured: 8e6, measuredAge: 1, ...NOT_COUNTED, mechanism: "htb", reason: null },
};
const impairment = (source: string, packets: number, state = "active"): MemoryState["impairments"][number] => ({
  ...{
    namespace: "shop",
    pod: "web-0",
    direction: "egress" as const,
    source,
    configured: "",
    effects: {},
    match: null,
  },
  ...{ effective: null, state: state as "active", remaining: null, reason: null, packets, lost: 1, duplicated: 0 },
  ...{ corrupted: 0, reordered: 0, delayed: 0, bursts: 0, spared: 0, meanDelay: null },
  ...{ expectedLoss: null, measuredLoss: null, lossLow: null, lossHigh: null },
});

function scraped(state: Partial<MemoryState>) {
  const backend = new MemoryBackend("node-1", state);
  const metrics = createMetrics(backend, { memory: () => 5e7, cpu: () => 1.5 });
  return { state: backend.state, metrics, read: async () => (await metrics.text()).split("\n") };
}

const WEB = { pods: [pod("web-0", "weir1")], ports: [port("router:weir1", 3), port("router:host", 5)] };

test("rates are bytes, pods have their own packets, ports are the node's own", async () => {
  const { read, metrics } = scraped({
    ...WEB,
    limits: [limit, { ...limit, direction: "ingress", effective: null, measured: null, reason: "no" }],
  });
  metrics.reconciled(0.02);
  const lines = await read();
  expect(lines).toEqual(
    expect.arrayContaining([
      'weir_limit_configured_bytes_per_second{namespace="shop",pod="web-0",direction="egress"} 1250000',
      'weir_limit_effective_bytes_per_second{namespace="shop",pod="web-0",direction="egress"} 1250000',
      'weir_limit_measured_bytes_per_second{namespace="shop",pod="web-0",direction="egress"} 1000000',
      'weir_pod_packets_total{namespace="shop",pod="web-0",direction="egress"} 3',
      'weir_pod_bytes_total{namespace="shop",pod="web-0",direction="ingress"} 600',
      'weir_port_packets_total{port="router:host",direction="received"} 5',
      'weir_agent_state{state="ready"} 1',
      'weir_build_info{version="0.1.0"} 1',
      "weir_agent_resident_memory_bytes 50000000",
      "weir_agent_cpu_seconds_total 1.5",
      'weir_agent_reconcile_seconds_bucket{le="0.025"} 1',
      "weir_agent_reconcile_seconds_count 1",
    ]),
  );
  expect(lines.join("\n")).not.toMatch(/effective[^\n]*ingress|weir_port[^\n]*weir1/);
});

describe("limits", () => {
  const counted = (sent: number): MemoryState["limits"][number] => ({
    ...limit,
    received: { packets: sent + 5, bytes: sent * 100 + 500 },
    sent: { packets: sent, bytes: sent * 100 },
    dropped: { packets: 3, bytes: 300 },
    queued: { packets: 2, bytes: 200 },
    ...{ marked: 1, delayed: 4, waits: [sent - 4, 3, 0, 0, 0, 0, 0, 0, 0, 1] },
  });
  const series = (name: string, value: number, more = "") =>
    `weir_limit_${name}{namespace="shop",pod="web-0",direction="egress"${more}} ${value}`;

  test("count received, passed, dropped and queued packets", async () => {
    const lines = await scraped({ ...WEB, limits: [counted(10)] }).read();
    expect(lines).toEqual(
      expect.arrayContaining([
        series("received_packets_total", 15),
        series("sent_packets_total", 10),
        series("sent_bytes_total", 1000),
        series("dropped_packets_total", 3),
        series("dropped_bytes_total", 300),
        series("queued_packets", 2),
        series("marked_packets_total", 1),
        series("delayed_packets_total", 4),
        series("waited_packets_total", 6, ',within="0.001"'),
        series("waited_packets_total", 9, ',within="0.5"'),
        series("waited_packets_total", 10, ',within="+Inf"'),
      ]),
    );
  });

  test("count once for several rules, and not without a datapath", async () => {
    const limits = [counted(10), { ...counted(10), source: "Limit/shop/same" }];
    expect(await scraped({ ...WEB, limits }).read()).toContain(series("sent_packets_total", 10));
    const { read } = scraped({ ...WEB, limits: [limit] });
    expect((await read()).join("\n")).not.toContain("weir_limit_sent_packets_total{");
  });

  test("continue when a pod's device is created again", async () => {
    const { read, state } = scraped({ ...WEB, limits: [counted(10)] });
    await read();
    state.limits = [];
    await read();
    state.limits = [counted(6)];
    expect(await read()).toContain(series("sent_packets_total", 16));
  });
});

test("a list is read once per scrape for all its metrics", async () => {
  const backend = new MemoryBackend("node-1", WEB);
  const calls: string[] = [];
  for (const name of ["pods", "limits", "impairments", "programs", "ports", "drops", "status", "problems"] as const) {
    const read = backend[name];
    const noted = () => {
      calls.push(name);
      return read();
    };
    Object.assign(backend, { [name]: noted });
  }
  await createMetrics(backend).text();
  expect(calls.toSorted()).toEqual([...new Set(calls)].toSorted());
});

describe("counters do not decrease while pods are added and removed", () => {
  const drops = (total: number) => `weir_drops_total{reason="spoofed"} ${total}`;
  const ofPod = (total: number) =>
    `weir_pod_drops_total{namespace="shop",pod="web-0",direction="egress",reason="spoofed"} ${total}`;

  test("a removed pod's drops stay in the node's counter", async () => {
    const { read, state } = scraped({
      ...WEB,
      drops: [drop("router:weir1", "egress", "spoofed", 4), drop("router:host", null, "spoofed", 1)],
    });
    for (let scrape = 0; scrape < 2; scrape++) {
      expect(await read()).toEqual(expect.arrayContaining([drops(5), ofPod(4)]));
    }
    Object.assign(state, {
      pods: [],
      ports: [],
      drops: [drop("gone", null, "spoofed", 4), drop("router:host", null, "spoofed", 1)],
    });
    expect(await read()).toContain(drops(5));
    expect((await read()).join("\n")).not.toContain("weir_pod_drops_total{");
  });

  test("a pod's counters continue when its device is created again", async () => {
    const { read, state } = scraped({ ...WEB, drops: [drop("router:weir1", "egress", "spoofed", 4)] });
    await read();
    Object.assign(state, { pods: [pod("web-0", "weir2")], ports: [port("router:weir2", 2)], drops: [] });
    expect(await read()).toContain('weir_pod_packets_total{namespace="shop",pod="web-0",direction="egress"} 5');
    expect(await read()).toContain(ofPod(4));
    state.drops = [drop("router:weir2", "egress", "spoofed", 2)];
    expect(await read()).toContain(ofPod(6));
  });

  test("a port's counters continue when it is created again", async () => {
    const { read, state } = scraped(WEB);
    await read();
    state.ports = [port("router:weir1", 3), port("router:host", 2)];
    expect(await read()).toContain('weir_port_packets_total{port="router:host",direction="received"} 7');
  });

  test("one-offs of a pod are one series that never decreases", async () => {
    const total = async () => (await read()).filter((line) => line.startsWith("weir_impairment_packets_total{"));
    const series = (source: string, count: number) =>
      `weir_impairment_packets_total{namespace="shop",pod="web-0",direction="egress",source="${source}"} ${count}`;
    const { read, state } = scraped({
      ...WEB,
      impairments: [impairment("Impairment/shop/impair-web-0-k3x", 10), impairment("loss", 1)],
    });
    const own = series("loss", 1);
    expect(await total()).toEqual([series("Impairment/shop/impair-web-0", 10), own]);
    state.impairments.push(impairment("Impairment/shop/impair-web-0-9zz", 5));
    expect(await total()).toEqual([series("Impairment/shop/impair-web-0", 15), own]);
    expect(await read()).toContain(
      'weir_impairment_active{namespace="shop",pod="web-0",direction="egress",source="Impairment/shop/impair-web-0"} 2',
    );
    state.impairments = [impairment("Impairment/shop/impair-web-0-9zz", 6)];
    expect(await total()).toEqual([series("Impairment/shop/impair-web-0", 16)]);
    state.impairments = [];
    expect(await total()).toEqual([series("Impairment/shop/impair-web-0", 16)]);
    state.impairments = [impairment("Impairment/shop/impair-web-0-new", 1)];
    expect(await total()).toEqual([series("Impairment/shop/impair-web-0", 17)]);
    state.pods = [];
    state.impairments = [];
    expect(await total()).toEqual([]);
  });
});

/** The rules of `promtool check metrics` that can be checked here. */
describe("names and help follow Prometheus's conventions", async () => {
  const { read } = scraped(WEB);
  const lines = await read();
  const help = new Map(
    lines.flatMap((line) => [...line.matchAll(/^# HELP (\S+) (.*)$/g)].map(([, name, text]) => [name, text])),
  );
  const types = lines.flatMap((line) =>
    [...line.matchAll(/^# TYPE (\S+) (\S+)$/g)].map(([, name = "", type = ""]) => [name, type]),
  );
  const FOREIGN = [
    "bits",
    "minutes",
    "hours",
    "days",
    "weeks",
    "kelvins",
    "fahrenheit",
    "calories",
    "pounds",
    "ounces",
  ];
  const SHORT = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];
  const PREFIX = /^(pico|nano|micro|milli|centi|deci|deca|hecto|kilo|kibi|mega|mibi|giga|gibi|tera|tebi|peta|pebi)\w+/;

  test("there are some", () => expect(types.length).toBeGreaterThan(20));

  test.each(types)("%s", (name = "", type) => {
    const words = name.split("_");
    expect(help.get(name)).toMatch(/^[A-Z].*[a-z)]\.$/);
    expect(name).toMatch(/^weir_[a-z0-9_]+$/);
    expect(name.endsWith("_total")).toBe(type === "counter");
    expect(name).not.toMatch(/_(count|sum|bucket)$/);
    const wrong = [...FOREIGN, ...SHORT, "counter", "gauge", "histogram", "summary", "untyped"];
    expect(words.filter((word) => wrong.includes(word) || PREFIX.test(word))).toEqual([]);
  });

  test("labels are lower-case words, and none is reserved for histograms", () => {
    const labels = lines
      .filter((line) => !/^#|_bucket/.test(line))
      .flatMap((line) => [...line.matchAll(/[{,](\w+)=/g)]);
    expect(labels.length).toBeGreaterThan(10);
    for (const [, label] of labels) expect(label).toMatch(/^(?!le$|quantile$)[a-z]+$/);
  });
});
