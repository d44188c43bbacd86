import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  arp,
  echo,
  ethernet,
  fragmentHeader,
  ip,
  ip4,
  ip6,
  type Layer3,
  raw,
  solicitation,
  tcp,
  udp,
} from "../../../test/packets.ts";
import { PORT, TARGET } from "./rows.ts";
import { Bench } from "./testing/bench.ts";
import { cluster } from "./testing/fixture.ts";
import {
  A,
  A4,
  A6,
  B,
  B4,
  B6,
  bytes,
  DATA,
  destinationOptions,
  dns,
  fromA,
  fromFar,
  fromHost,
  GW4,
  hopByHop,
  icmpError,
  MACS,
  NODE1,
  NODE2,
  options,
  routed,
  WORLD,
} from "./testing/frames.ts";

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
  bench.apply(cluster());
});
afterAll(() => bench?.close());

test("flags have the values of the datapath's enums", () => {
  const upper = (prefix: string, flags: Record<string, number>) =>
    Object.entries(flags).map(([name, value]) => [value, `${prefix}${name.toUpperCase()}`]);
  expect([...bench.names("weir_rt_target_flags")]).toEqual(upper("WEIR_RT_", TARGET));
  expect([...bench.names("weir_rt_port_flags")]).toEqual(upper("WEIR_RT_", PORT));
});

/** Each packet leaves by `out` with TTL decremented, new MAC addresses, and no other change. */
describe("forwards", () => {
  const rows: [string, string, Buffer, string, Buffer][] = [];
  const add = (
    name: string,
    from: [string, (packet: Layer3) => Buffer],
    out: [string, string],
    packet: (ttl: number) => Layer3,
  ) => rows.push([name, from[0], from[1](packet(64)), out[0], routed(out[1], packet(63))]);
  const a = [A.device, fromA] as [string, typeof fromA];
  const host = ["host", fromHost] as [string, typeof fromHost];
  const overlay = ["overlay", fromFar] as [string, typeof fromFar];
  const toB: [string, string] = [`peer router:${B.device}`, MACS.b];
  const toNode2: [string, string] = ["tunnel node-2", MACS.router];
  const toHost: [string, string] = ["receive router:host", MACS.host];

  add("UDP, IPv4, pod to pod", a, toB, (ttl) => ip({ src: A4, dst: B4, ttl }, dns()));
  add("UDP, IPv6, pod to pod", a, toB, (ttl) => ip({ src: A6, dst: B6, ttl }, dns()));
  add("TCP, IPv4, pod to pod", a, toB, (ttl) => ip({ src: A4, dst: B4, ttl }, tcp({ sport: 1, dport: 2 }, DATA)));
  add("TCP, IPv6, pod to pod", a, toB, (ttl) => ip({ src: A6, dst: B6, ttl }, tcp({ sport: 1, dport: 2 }, DATA)));
  add("ping, IPv4, pod to pod", a, toB, (ttl) => ip({ src: A4, dst: B4, ttl }, echo(4)));
  add("ping, IPv6, pod to pod", a, toB, (ttl) => ip({ src: A6, dst: B6, ttl }, echo(6)));
  add("a full-size packet", a, toB, (ttl) => ip({ src: A4, dst: B4, ttl }, dns(bytes(1450 - 28))));
  add("a full-size packet, IPv6", a, toB, (ttl) => ip({ src: A6, dst: B6, ttl }, dns(bytes(1450 - 48))));
  add("an odd number of bytes", a, toB, (ttl) => ip({ src: A4, dst: B4, ttl }, dns(bytes(101))));
  add("SCTP", a, toB, (ttl) => ip({ src: A4, dst: B4, ttl }, raw(132, bytes(32))));
  add("pod to pod of another node", a, toNode2, (ttl) => ip({ src: A4, dst: NODE2.pod4, ttl }, dns()));
  add("pod to pod of another node, IPv6", a, toNode2, (ttl) => ip({ src: A6, dst: NODE2.pod6, ttl }, dns()));
  add("pod to another node", a, toNode2, (ttl) => ip({ src: A4, dst: NODE2.own4, ttl }, dns()));
  add("pod to another node, IPv6", a, toNode2, (ttl) => ip({ src: A6, dst: NODE2.own6, ttl }, dns()));
  add("pod to its own node", a, toHost, (ttl) => ip({ src: A4, dst: NODE1.own4, ttl }, dns()));
  add("pod to its own node, IPv6", a, toHost, (ttl) => ip({ src: A6, dst: NODE1.own6, ttl }, dns()));
  add("pod to the world", a, toHost, (ttl) => ip({ src: A4, dst: WORLD.v4, ttl }, dns()));
  add("pod to the world, IPv6", a, toHost, (ttl) => ip({ src: A6, dst: WORLD.v6, ttl }, dns()));
  add("host to pod", host, toB, (ttl) => ip({ src: NODE1.own4, dst: B4, ttl }, dns()));
  add("host to pod, IPv6", host, toB, (ttl) => ip({ src: NODE1.own6, dst: B6, ttl }, dns()));
  add("host to pod of another node", host, toNode2, (ttl) => ip({ src: NODE1.own4, dst: NODE2.pod4, ttl }, dns()));
  add("overlay to pod", overlay, toB, (ttl) => ip({ src: NODE2.pod4, dst: B4, ttl }, dns()));
  add("overlay to pod, IPv6", overlay, toB, (ttl) => ip({ src: NODE2.pod6, dst: B6, ttl }, dns()));
  add("overlay to this node", overlay, toHost, (ttl) => ip({ src: NODE2.pod4, dst: NODE1.own4, ttl }, dns()));
  add("IPv4 options", a, toB, (ttl) => ip4({ src: A4, dst: B4, ttl, options }, dns()));
  const vxlan = udp({ sport: 1, dport: 4789 }, DATA);
  add("a pod's own tunnel to a pod", a, toB, (ttl) => ip({ src: A4, dst: B4, ttl }, vxlan));
  add("a pod's own tunnel to another node's pod", a, toNode2, (ttl) => ip({ src: A6, dst: NODE2.pod6, ttl }, vxlan));
  add("from the host to a tunnel port", host, toNode2, (ttl) => ip({ src: NODE1.own4, dst: NODE2.own4, ttl }, vxlan));
  add("a later fragment to the node", a, toHost, (ttl) =>
    ip4({ src: A4, dst: NODE1.own4, ttl, offset: 100 }, raw(17, bytes(64))),
  );
  add("a first fragment", a, toB, (ttl) => ip4({ src: A4, dst: B4, ttl, mf: true }, raw(17, bytes(64))));
  add("a later fragment", a, toB, (ttl) => ip4({ src: A4, dst: B4, ttl, offset: 100 }, raw(17, bytes(64))));
  add("an IPv6 fragment", a, toB, (hopLimit) =>
    ip6({ src: A6, dst: B6, hopLimit, extensions: [fragmentHeader(20, false)] }, raw(17, bytes(64))),
  );
  add("IPv6 extension headers", a, toB, (hopLimit) =>
    ip6({ src: A6, dst: B6, hopLimit, extensions: [hopByHop, destinationOptions] }, dns()),
  );
  add("a wrong UDP checksum is the receiver's business", a, toB, (ttl) =>
    ip({ src: A4, dst: B4, ttl }, udp({ sport: 1, dport: 2, check: 0xbeef }, DATA)),
  );

  test.each(rows)("%s", (_, port, frame, out, expected) => {
    const outcome = bench.run(port, frame);
    expect(outcome).toMatchObject({ drops: [], out });
    expect(outcome.frame.toString("hex")).toBe(expected.toString("hex"));
  });

  test("TTL 2 is the smallest that is forwarded", () => {
    const outcome = bench.run(A.device, fromA(ip({ src: A4, dst: B4, ttl: 2 }, dns())));
    expect(outcome.frame).toEqual(routed(MACS.b, ip({ src: A4, dst: B4, ttl: 1 }, dns())));
  });

  test("padding of a short frame is kept", () => {
    const padding = Buffer.alloc(18);
    const frame = Buffer.concat([fromA(ip({ src: A4, dst: B4 }, dns(bytes(1)))), padding]);
    const outcome = bench.run(A.device, frame);
    const expected = routed(MACS.b, ip({ src: A4, dst: B4, ttl: 63 }, dns(bytes(1))));
    expect(outcome.frame).toEqual(Buffer.concat([expected, padding]));
  });

  test.each([
    ["a segment that fits", 1450 - 40, 40, []],
    ["a segment one byte too large", 1450 - 40 + 1, 40, ["TOO_BIG"]],
  ])("GSO, IPv4: %s", (_, gsoSize, headers, drops) => {
    const frame = fromA(ip4({ src: A4, dst: B4, df: true }, tcp({ sport: 1, dport: 2 }, bytes(3000))));
    expect(frame.length).toBe(14 + headers + 3000);
    expect(bench.run(A.device, frame, { gsoSize, gsoSegs: 3 }).drops).toEqual(drops);
  });

  test.each([
    ["a segment that fits", 1450 - 60 - 12, []],
    ["a segment one byte too large", 1450 - 60 - 12 + 1, ["TOO_BIG"]],
  ])("GSO, IPv6 with TCP options: %s", (_, gsoSize, drops) => {
    const segment = tcp({ sport: 1, dport: 2, options: Buffer.alloc(12, 1) }, bytes(3000));
    const frame = fromA(ip6({ src: A6, dst: B6 }, segment));
    expect(bench.run(A.device, frame, { gsoSize, gsoSegs: 3 }).drops).toEqual(drops);
  });

  describe("BIG TCP: the length field is 0, so the skb's length counts", () => {
    const MSS = 1450 - 40;
    const segment = tcp({ sport: 1, dport: 2 }, bytes(3000));
    const jumbo = { protocol: 0, bytes: Buffer.from([0, 0, 0xc2, 4, 0, 0, 0x0b, 0xd4]) };
    const big = {
      IPv4: fromA(ip4({ src: A4, dst: B4, df: true, length: 0 }, segment)),
      IPv6: fromA(ip6({ src: A6, dst: B6, length: 0 }, segment)),
      "IPv6 with the jumbo option": fromA(ip6({ src: A6, dst: B6, length: 0, extensions: [jumbo] }, segment)),
    };
    test.each([
      ["IPv4", MSS],
      ["IPv6", MSS - 20],
      ["IPv6 with the jumbo option", MSS - 20],
    ] as const)("%s", (kind, mss) => {
      const run = (gsoSize: number) => bench.run(A.device, big[kind], { gsoSize, gsoSegs: 3 });
      expect(run(mss)).toMatchObject({ drops: [], out: `peer router:${B.device}` });
      const refused = run(mss + 1);
      expect(refused.drops).toEqual(["TOO_BIG"]);
      const quoted = kind === "IPv4" ? 548 : 1232;
      expect(icmpError(refused.frame)).toMatchObject({ mtu: 1450, quote: big[kind].subarray(14, 14 + quoted) });
    });

    test("a length field of 0 is not accepted without GSO", () => {
      expect(bench.run(A.device, big.IPv4).drops).toEqual(["MALFORMED"]);
      expect(bench.run(A.device, fromA(ip4({ src: A4, dst: B4, length: 0 }, dns())), { gsoSize: 9 }).drops).toEqual([
        "MALFORMED",
      ]);
      expect(bench.run(A.device, big["IPv6 with the jumbo option"]).drops).toEqual(["TOO_BIG"]);
    });
  });

  test("UDP GSO counts the UDP header", () => {
    const frame = fromA(ip6({ src: A6, dst: B6 }, dns(bytes(3000))));
    expect(bench.run(A.device, frame, { gsoSize: 1450 - 48, gsoSegs: 3 }).drops).toEqual([]);
    expect(bench.run(A.device, frame, { gsoSize: 1450 - 47, gsoSegs: 3 }).drops).toEqual(["TOO_BIG"]);
  });

  test("a packet that is too large without DF is passed to the node's stack, which fragments it", () => {
    const packet = ip4({ src: A4, dst: NODE2.pod4 }, dns(bytes(2000)));
    const outcome = bench.run(A.device, fromA(packet));
    expect(outcome).toMatchObject({ drops: [], out: "receive router:host" });
    expect(outcome.frame).toEqual(routed(MACS.host, packet));
  });
});

describe("direct overlay", () => {
  // the test run's device has this MAC address; frames to others are not for this node
  const toUplink = (packet: Layer3, dst = "00:00:00:00:00:00") => ethernet({ src: MACS.far, dst }, packet);
  beforeAll(() => bench.apply(cluster({ overlay: "direct" })));
  afterAll(() => bench.apply(cluster()));

  test.each([
    ["pod to pod of another node", A4, NODE2.pod4],
    ["pod to pod of another node, IPv6", A6, NODE2.pod6],
    ["pod to another node", A4, NODE2.own4],
  ])("%s leaves by the uplink", (_, src, dst) => {
    expect(bench.run(A.device, fromA(ip({ src, dst }, dns())))).toMatchObject({
      drops: [],
      out: "neigh router:uplink",
    });
  });

  test.each([
    ["IPv4", NODE2.pod4, B4],
    ["IPv6", NODE2.pod6, B6],
  ])("the uplink delivers to a pod: %s", (_, src, dst) => {
    const outcome = bench.run("uplink", toUplink(ip({ src, dst }, dns())));
    expect(outcome).toMatchObject({ drops: [], out: `peer router:${B.device}` });
    expect(outcome.frame).toEqual(routed(MACS.b, ip({ src, dst, ttl: 63 }, dns())));
  });

  const untouched: [string, Buffer][] = [
    ["for the node", toUplink(ip({ src: WORLD.v4, dst: NODE1.own4 }, dns()))],
    ["for the node, IPv6", toUplink(ip({ src: WORLD.v6, dst: NODE1.own6 }, dns()))],
    ["for the world", toUplink(ip({ src: WORLD.v4, dst: "203.0.113.1" }, dns()))],
    ["for nobody's address of ours", toUplink(ip({ src: NODE2.pod4, dst: "10.244.1.99" }, dns()))],
    ["for a pod, but another's MAC", toUplink(ip({ src: NODE2.pod4, dst: B4 }, dns()), MACS.far)],
    ["ARP", toUplink(arp({ op: 1, senderMac: MACS.far, sender: NODE2.own4, target: NODE1.own4 }))],
    ["neighbour discovery", toUplink(solicitation({ src: NODE2.own6, target: NODE1.own6, mac: MACS.far }))],
    ["multicast", toUplink(ip({ src: NODE2.own4, dst: "224.0.0.5" }, dns()), "01:00:5e:00:00:05")],
    ["LLDP", toUplink({ type: 0x88cc, bytes: bytes(40) })],
  ];
  test.each(untouched)("other traffic of the uplink is passed to the stack unchanged: %s", (_, frame) => {
    const outcome = bench.run("uplink", frame);
    expect(outcome).toMatchObject({ drops: [], out: "stack" });
    expect(outcome.frame).toEqual(frame);
  });

  test("time exceeded is sent through the uplink", () => {
    const outcome = bench.run("uplink", toUplink(ip({ src: NODE2.pod4, dst: B4, ttl: 1 }, dns())));
    expect(outcome).toMatchObject({ drops: ["TTL"], out: "neigh router:uplink" });
    expect(icmpError(outcome.frame)).toMatchObject({ src: GW4, dst: NODE2.pod4, type: 11 });
  });
});
