import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arp, ethernet, icmp, icmp6, ip4, ip6, type Layer4, tcp, udp } from "../../../test/packets.ts";
import { firstHop } from "../../datapath/layout.ts";
import { Program } from "../../kernel/index.ts";
import { type Effects, type ImpairRule, type Loss, lossProbability } from "../../model/impair.ts";
import type { Direction } from "../../model/limits.ts";
import { binomialTest } from "../../model/statistics.ts";
import { NODE_ADDRESS, Node } from "../testing/node.ts";
import { impairInstance } from "./impair.ts";

/** State of a packet that has come back from the splitting pair, `WEIR_META_*`. */
const RESUMED = 0x1000;
const SECOND_GENERATION = 0x40000000;
const SHOT = 2;
const ID = "Impairment/default/x";
const MARK_RESUMED = 0x01000000;
/** What a right build fails once in ten thousand times. */
const UNLIKELY = 1e-4;

let node: Node;
let program: Program;
beforeAll(() => {
  node = new Node();
  const programs = join(node.panel.own, "programs");
  const pin = readdirSync(programs).find((name) => name.startsWith("weir_impair_")) ?? "";
  program = Program.open(join(programs, pin));
});
afterAll(() => node?.close());

const rule = (direction: Direction, effects: Effects, more: Partial<ImpairRule> = {}): ImpairRule => ({
  id: ID,
  direction,
  source: ID,
  configured: "",
  effects,
  match: {},
  exempt: { probes: false, dns: false },
  ...more,
});

const instance = (direction: Direction): number =>
  node.panel.names.id("instance", impairInstance(node.endpoint("a").device, direction, ID));
const hopOf = (direction: Direction): number =>
  firstHop(
    node.panel.names.id("port", `router:${node.endpoint("a").device}`),
    direction === "egress" ? "ingress" : "egress",
  );

interface Use {
  packets: number;
  lost: number;
  duplicated: number;
  corrupted: number;
}
function use(direction: Direction): Use {
  const table = node.panel.table("weir_impair_use");
  const row = table.lookup(table.key.encode({ instance: instance(direction) }));
  const fields = row ? (table.value.decode(row) as Record<string, bigint>) : {};
  const count = (name: string): number => Number(fields[name] ?? 0);
  return {
    packets: count("packets"),
    lost: count("lost"),
    duplicated: count("duplicated"),
    corrupted: count("corrupted"),
  };
}

/** Runs the program on one packet, as back from the splitting pair, `repeat` times; what the rule counted. */
function repeat(direction: Direction, frame: Buffer, times: number): Use {
  const before = use(direction);
  const state = RESUMED | (node.panel.generations.active ? SECOND_GENERATION : 0);
  const port = node.panel.names.id("port", `router:${node.endpoint("a").device}`);
  const cb = [hopOf(direction), instance(direction), port, state, 0];
  for (let left = times; left > 0; left -= CHUNK) {
    node.inNode(() => program.testRun({ data: frame, ctx: { cb }, repeat: Math.min(left, CHUNK) }));
  }
  const after = use(direction);
  return {
    packets: after.packets - before.packets,
    lost: after.lost - before.lost,
    duplicated: after.duplicated - before.duplicated,
    corrupted: after.corrupted - before.corrupted,
  };
}
const CHUNK = 1_000_000;

/** Runs one packet from the panel's own entry on; true if the rule lost it. */
function isLost(direction: Direction, frame: Buffer): boolean {
  const before = use(direction).lost;
  const mark = (hopOf(direction) | MARK_RESUMED) >>> 0;
  node.inNode(() => node.panel.resume.testRun({ data: frame, ctx: { mark } }));
  return use(direction).lost > before;
}

const A = { v4: "10.244.1.10", v6: "fd00:10:244:1::10" };
const B = { v4: "10.244.1.11", v6: "fd00:10:244:1::11" };
const LINK = { src: "02:00:00:00:01:10", dst: "02:77:65:69:72:01" };
const PORTS = { sport: 40_000, dport: 2000 };
const toB = (layer4: Layer4, dst = B.v4): Buffer => ethernet(LINK, ip4({ src: A.v4, dst }, layer4));
const toB6 = (layer4: Layer4, dst = B.v6): Buffer => ethernet(LINK, ip6({ src: A.v6, dst }, layer4));
const fromB = (layer4: Layer4, src = B.v4): Buffer => ethernet(LINK, ip4({ src, dst: A.v4 }, layer4));
const fromB6 = (layer4: Layer4, src = B.v6): Buffer => ethernet(LINK, ip6({ src, dst: A.v6 }, layer4));
const PAYLOAD = Buffer.alloc(100, 7);

describe("loss by chance", () => {
  const uniform = (probability: number): Loss => ({ model: "uniform", probability });
  const exponential = (threshold: number): Loss => ({ model: "exponential", threshold });
  const LOSSES = [
    ...[0.001, 0.01, 0.02, 0.05, 0.2, 0.5].map(uniform),
    ...[100, 200, 300, 500, 900].map(exponential),
  ] as const;
  const cases = LOSSES.flatMap((loss) => [
    { loss, family: 4, frame: fromB(udp(PORTS, PAYLOAD)) },
    { loss, family: 6, frame: fromB6(udp(PORTS, PAYLOAD)) },
  ]);
  test.each(cases)("100,000 packets of IPv$family at $loss", ({ loss, frame }) => {
    node.applyRules({ impairments: { a: [rule("ingress", { loss })] } });
    const { packets, lost } = repeat("ingress", frame, 100_000);
    expect(packets).toBe(100_000);
    expect(binomialTest(lost, packets, lossProbability(loss))).toBeGreaterThan(UNLIKELY);
  });

  test("0.001 % over ten million packets", () => {
    node.applyRules({ impairments: { a: [rule("ingress", { loss: uniform(1e-5) })] } });
    const { packets, lost } = repeat("ingress", fromB(udp(PORTS, PAYLOAD)), 10_000_000);
    expect(binomialTest(lost, packets, 1e-5)).toBeGreaterThan(UNLIKELY);
  });

  test.each([
    ["nothing", 0, 0],
    ["everything", 1, 10_000],
  ])("a probability of %s is just that", (_what, probability, expected) => {
    node.applyRules({ impairments: { a: [rule("ingress", { loss: uniform(probability) })] } });
    expect(repeat("ingress", fromB(udp(PORTS)), 10_000).lost).toBe(expected);
  });
});

describe("loss with a seed", () => {
  // the pod's own kernel reports its multicast groups now and then: UDP alone is judged, so the test's packets alone
  const match = { ports: [{ protocol: "UDP", side: "either" }] } as const;
  const seeded = (seed: number, probability = 0.1) =>
    node.applyRules({
      impairments: { a: [rule("egress", { loss: { model: "uniform", probability } }, { seed, match })] },
    });
  /** The fate of packets one by one. */
  const fates = (count: number): boolean[] =>
    Array.from({ length: count }, () => isLost("egress", toB(udp(PORTS, PAYLOAD))));
  /** Makes the rule anew: its sequence begins again. */
  const begin = (seed: number): void => {
    node.applyRules({});
    seeded(seed);
  };

  test("the same seed loses the same packets, another one others", () => {
    begin(7);
    const first = fates(1000);
    begin(7);
    expect(fates(1000)).toEqual(first);
    begin(8);
    expect(fates(1000)).not.toEqual(first);
  });

  test.each([1, 2, 4_294_967_295])("seed %d is as even as chance", (seed) => {
    node.applyRules({
      impairments: { a: [rule("ingress", { loss: { model: "uniform", probability: 0.1 } }, { seed })] },
    });
    const { packets, lost } = repeat("ingress", fromB(udp(PORTS)), 100_000);
    expect(binomialTest(lost, packets, 0.1)).toBeGreaterThan(UNLIKELY);
  });
});

describe("bursts", () => {
  const loss: Loss = { model: "burst", p: 0.01, r: 0.2, lossGood: 0, lossBad: 1 };

  test("begin and end as often as they should", () => {
    node.applyRules({ impairments: { a: [rule("egress", { loss }, { seed: 11 })] } });
    const fates = Array.from({ length: 40_000 }, () => isLost("egress", toB6(udp(PORTS))));
    // with these losses a packet's fate is the state, so each step is a draw of its own
    const steps = fates.slice(1).map((bad, i) => ({ from: fates[i], to: bad }));
    const good = steps.filter(({ from }) => !from);
    const bad = steps.filter(({ from }) => from);
    expect(binomialTest(good.filter(({ to }) => to).length, good.length, loss.p)).toBeGreaterThan(UNLIKELY);
    expect(binomialTest(bad.filter(({ to }) => !to).length, bad.length, loss.r)).toBeGreaterThan(UNLIKELY);
  });
});

describe("which packets a rule is for", () => {
  const ALL: Effects = { loss: { model: "uniform", probability: 1 } };
  const dns = (port: number) => udp({ sport: 40_000, dport: port }, PAYLOAD);
  const answer = udp({ sport: 53, dport: 40_000 }, PAYLOAD);
  const peers = { peers: ["10.244.1.11/32", "10.9.0.0/16", "fd00:10:244:1::11/128"] };
  const web = { ports: [{ protocol: "TCP", port: 80, endPort: 90, side: "peer" }] } as const;
  const own = { ports: [{ protocol: "UDP", port: 40_000, side: "pod" }] } as const;
  const pings = { ports: [{ protocol: "ICMP", side: "either" }] } as const;
  const exempt = { probes: true, dns: true };
  const ends = { src: A.v6, dst: "fe80::1", hopLimit: 255 };
  const DISCOVERY = ethernet(LINK, ip6(ends, icmp6({ type: 135 }, Buffer.alloc(20))));
  test.each([
    ["egress", "without a match: all of IPv4", {}, toB(udp(PORTS)), true],
    ["egress", "without a match: all of IPv6", {}, toB6(tcp(PORTS)), true],
    ["ingress", "without a match: what comes in", {}, fromB(icmp({ type: 8 })), true],
    ["egress", "never ARP", {}, ethernet(LINK, arp({ op: 1, senderMac: LINK.src, sender: A.v4, target: B.v4 })), false],
    ["egress", "never neighbour discovery of the link", {}, DISCOVERY, false],
    ["egress", "a peer's address", { match: peers }, toB(udp(PORTS)), true],
    ["egress", "a peer's network", { match: peers }, toB(udp(PORTS), "10.9.255.1"), true],
    ["egress", "a peer of IPv6", { match: peers }, toB6(udp(PORTS)), true],
    ["egress", "no other address", { match: peers }, toB(udp(PORTS), "10.10.0.1"), false],
    ["egress", "no other address of IPv6", { match: peers }, toB6(udp(PORTS), "fd00:10:244:1::12"), false],
    ["ingress", "a peer that sends", { match: peers }, fromB6(udp(PORTS)), true],
    ["ingress", "no other sender", { match: peers }, fromB(udp(PORTS), "10.10.0.1"), false],
    ["egress", "the peer's port", { match: web }, toB(tcp({ sport: 1, dport: 85 })), true],
    ["egress", "not the pod's port of that number", { match: web }, toB(tcp({ sport: 85, dport: 1 })), false],
    ["egress", "not that port of another protocol", { match: web }, toB(udp({ sport: 1, dport: 85 })), false],
    ["egress", "not a port behind the range", { match: web }, toB6(tcp({ sport: 1, dport: 91 })), false],
    ["ingress", "the peer's port as source", { match: web }, fromB(tcp({ sport: 80, dport: 1 })), true],
    ["egress", "the pod's own port", { match: own }, toB(udp(PORTS)), true],
    ["ingress", "the pod's own port as destination", { match: own }, fromB6(udp({ sport: 1, dport: 40_000 })), true],
    ["egress", "ping", { match: pings }, toB(icmp({ type: 8 })), true],
    ["egress", "ping of IPv6", { match: pings }, toB6(icmp6({ type: 128 })), true],
    ["egress", "DNS queries are exempt", { exempt }, toB(dns(53)), false],
    ["egress", "other queries are not", { exempt }, toB(dns(54)), true],
    ["ingress", "DNS answers are exempt", { exempt }, fromB6(answer), false],
    ["ingress", "probes from the node are exempt", { exempt }, fromB(tcp(PORTS), NODE_ADDRESS), false],
    ["egress", "and what answers them", { exempt }, toB(tcp(PORTS), NODE_ADDRESS), false],
    ["ingress", "others are not", { exempt }, fromB(tcp(PORTS)), true],
    ["ingress", "without exemptions probes are hit too", {}, fromB(tcp(PORTS), NODE_ADDRESS), true],
  ] as const)("%s: %s", (direction, _what, more, frame, expected) => {
    node.applyRules({ impairments: { a: [rule(direction, ALL, more)] } });
    expect(isLost(direction, frame)).toBe(expected);
  });
});

describe("leases", () => {
  const ALL: Effects = { loss: { model: "uniform", probability: 1 } };
  const frame = fromB(udp(PORTS));
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  test("a rule acts while it lasts, and ends with nobody to end it", async () => {
    node.applyRules({ impairments: { a: [rule("ingress", ALL, { lease: { seconds: 1 } })] } });
    expect(isLost("ingress", frame)).toBe(true);
    await sleep(1100);
    expect(isLost("ingress", frame)).toBe(false);
  });

  test("a renewed one goes on", async () => {
    const impairments = { a: [rule("ingress", ALL, { lease: { seconds: 1 } })] };
    node.applyRules({ impairments });
    for (let i = 0; i < 3; i++) {
      await sleep(500);
      node.applyRules({ impairments });
    }
    expect(isLost("ingress", frame)).toBe(true);
  });

  test("an end is an end, renewed or not", async () => {
    const impairments = { a: [rule("ingress", ALL, { lease: { seconds: 60, until: Date.now() + 400 } })] };
    node.applyRules({ impairments });
    expect(isLost("ingress", frame)).toBe(true);
    await sleep(500);
    node.applyRules({ impairments });
    expect(isLost("ingress", frame)).toBe(false);
  });

  test("renewing counts as no change", () => {
    const impairments = { a: [rule("ingress", ALL, { lease: { seconds: 5 } })] };
    for (let pass = 0; pass < 3; pass++) node.applyRules({ impairments });
    expect(node.applyRules({ impairments })).toBe(0);
  });
});

test("a rule that is gone leaves nothing behind", () => {
  const effects: Effects = { loss: { model: "uniform", probability: 1 } };
  const match = { peers: ["10.0.0.0/8"] };
  node.applyRules({ impairments: { a: [rule("ingress", effects, { match, lease: { seconds: 9 } })] } });
  isLost("ingress", fromB(udp(PORTS)));
  node.applyRules({});
  for (const table of ["weir_impairs", "weir_impair_peers", "weir_impair_use", "weir_leases"]) {
    expect([table, node.panel.table(table).entries().length]).toEqual([table, 0]);
  }
});

test("what cannot be read passes, or is lost, and nothing else happens", () => {
  node.applyRules({ impairments: { a: [rule("ingress", { corrupt: 1, duplicate: 0.5 })] } });
  for (let length = 14 + 20; length < 120; length++) {
    for (const frame of [fromB(tcp(PORTS, PAYLOAD)), fromB6(udp(PORTS, PAYLOAD))]) {
      const cut = frame.subarray(0, Math.max(length, frame.readUInt16BE(12) === 0x86dd ? 54 : 34));
      const mark = (hopOf("ingress") | MARK_RESUMED) >>> 0;
      const { retval } = node.inNode(() => node.panel.resume.testRun({ data: cut, ctx: { mark } }));
      expect(retval).not.toBe(SHOT);
    }
  }
});
