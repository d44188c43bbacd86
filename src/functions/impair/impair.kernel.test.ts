import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arp, ethernet, icmp, icmp6, ip6, tcp, udp } from "../../../test/packets.ts";
import type { Effects } from "../../model/impair.ts";
import { NODE_ADDRESS } from "../testing/node.ts";
import { A, B, Bench, fromB, fromB6, LINK, PAYLOAD, PORTS, rule, toB, toB6 } from "./testing/bench.ts";

const SHOT = 2;

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
});
afterAll(() => bench?.close());

describe("matching packets", () => {
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
    bench.apply(rule(direction, ALL, more));
    expect(bench.isLost(direction, frame)).toBe(expected);
  });
});

describe("leases", () => {
  const ALL: Effects = { loss: { model: "uniform", probability: 1 } };
  const frame = fromB(udp(PORTS));
  /** Waits until the rule has no effect any more, while `act` is repeated. */
  const ended = (act: () => unknown = () => {}): Promise<void> =>
    expect
      .poll(
        () => {
          act();
          return bench.isLost("ingress", frame);
        },
        { timeout: 60_000 },
      )
      .toBe(false);
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  test("a rule acts until its lease ends, without an agent", async () => {
    bench.apply(rule("ingress", ALL, { lease: { seconds: 1 } }));
    expect(bench.isLost("ingress", frame)).toBe(true);
    await ended();
  });

  test("a renewed lease continues", async () => {
    const impairments = { a: [rule("ingress", ALL, { lease: { seconds: 2 } })] };
    bench.node.applyRules({ impairments });
    for (let i = 0; i < 3; i++) {
      await sleep(700);
      bench.node.applyRules({ impairments });
    }
    expect(bench.isLost("ingress", frame)).toBe(true);
  });

  test("a rule ends at its end time even if its lease is renewed", async () => {
    const impairments = { a: [rule("ingress", ALL, { lease: { seconds: 60, until: Date.now() + 1500 } })] };
    bench.node.applyRules({ impairments });
    expect(bench.isLost("ingress", frame)).toBe(true);
    await ended(() => bench.node.applyRules({ impairments }));
  });

  test("renewing a lease is not counted as a write", () => {
    const impairments = { a: [rule("ingress", ALL, { lease: { seconds: 5 } })] };
    for (let pass = 0; pass < 3; pass++) bench.node.applyRules({ impairments });
    expect(bench.node.applyRules({ impairments })).toBe(0);
  });
});

test("a removed rule leaves nothing", () => {
  const effects: Effects = { loss: { model: "uniform", probability: 1 } };
  const match = { peers: ["10.0.0.0/8"] };
  bench.apply(rule("ingress", effects, { match, lease: { seconds: 9 } }));
  bench.isLost("ingress", fromB(udp(PORTS)));
  bench.node.applyRules({});
  for (const table of ["weir_impairs", "weir_impair_peers", "weir_impair_use", "weir_leases"]) {
    expect([table, bench.node.panel.table(table).entries().length]).toEqual([table, 0]);
  }
});

test("a malformed packet is passed or lost, and nothing else", () => {
  bench.apply(rule("ingress", { corrupt: 1, duplicate: 0.5 }));
  for (let length = 14 + 20; length < 120; length++) {
    for (const frame of [fromB(tcp(PORTS, PAYLOAD)), fromB6(udp(PORTS, PAYLOAD))]) {
      const cut = frame.subarray(0, Math.max(length, frame.readUInt16BE(12) === 0x86dd ? 54 : 34));
      expect(bench.run("ingress", cut).retval).not.toBe(SHOT);
    }
  }
});
