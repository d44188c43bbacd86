import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ethernet, ip, type Layer3, udp } from "../../../test/packets.ts";
import { namespacePath, setLink } from "../../kernel/index.ts";
import { Capture } from "./testing/capture.ts";
import { dns, fromA, MACS } from "./testing/frames.ts";
import { inject } from "./testing/inject.ts";
import { transfer } from "./testing/transfer.ts";
import { World } from "./testing/world.ts";

const POD = {
  a: { 4: "10.244.1.10", 6: "fd00:10:244:1::a" },
  b: { 4: "10.244.1.11", 6: "fd00:10:244:1::b" },
  c: { 4: "10.244.2.12", 6: "fd00:10:244:2::c" },
} as const;
const GATEWAY = {
  1: { 4: "10.244.1.1", 6: "fd00:10:244:1::1" },
  2: { 4: "10.244.2.1", 6: "fd00:10:244:2::1" },
} as const;
const NODE = {
  1: { 4: "192.168.0.1", 6: "fd00:192::1" },
  2: { 4: "192.168.0.2", 6: "fd00:192::2" },
} as const;
const HEADERS = { 4: 28, 6: 48 } as const;

describe.each(["vxlan", "direct"] as const)("overlay %s", (overlay) => {
  let world: World;
  beforeAll(() => {
    world = new World(overlay);
  });
  afterAll(() => world?.close());

  describe.each([4, 6] as const)("IPv%i", (family) => {
    test.each([
      ["pod to pod on its node", "a", POD.b],
      ["pod to pod on another node", "a", POD.c],
      ["back", "c", POD.b],
      ["pod to its gateway", "a", GATEWAY[1]],
      ["pod to its node", "a", NODE[1]],
      ["pod to another node", "a", NODE[2]],
      ["node to its pod", "node1", POD.a],
      ["node to a pod on another node", "node1", POD.c],
    ] as const)("ping: %s", (_, from, to) => {
      expect(world.ping(from, to[family]).text).toContain("2 received");
    });

    test.each([
      ["same node", POD.b],
      ["another node", POD.c],
    ] as const)("packets of exactly the MTU pass: %s", (_, to) => {
      const size = String(1450 - HEADERS[family]);
      expect(world.ping("a", to[family], "-M", "do", "-s", size).text).toContain("2 received");
    });

    test("traceroute shows the gateways on the path", () => {
      expect(world.trace("a", POD.b[family])).toEqual([GATEWAY[1][family], POD.b[family]]);
      expect(world.trace("a", POD.c[family])).toEqual([GATEWAY[1][family], GATEWAY[2][family], POD.c[family]]);
      expect(world.trace("a", POD.c[family], "-I")).toEqual([GATEWAY[1][family], GATEWAY[2][family], POD.c[family]]);
      expect(world.trace("a", GATEWAY[1][family])).toEqual([GATEWAY[1][family]]);
    });

    test("a pod that does not exist is unreachable", () => {
      const missing = { 4: ["10.244.1.99", "10.244.2.99"], 6: ["fd00:10:244:1::99", "fd00:10:244:2::99"] } as const;
      for (const [index, address] of missing[family].entries()) {
        const { text } = world.ping("a", address);
        const gateway = GATEWAY[index === 0 ? 1 : 2][family];
        // on the uplink the stack handles packets to no pod: it drops them or sends its own error
        if (overlay === "direct" && index === 1) expect(text).toContain("0 received");
        else expect(text).toMatch(new RegExp(`From ${gateway} .*unreachable`, "i"));
      }
    });

    test.each([
      ["same node", "b"],
      ["another node", "c"],
    ] as const)("TCP carries 20 MB: %s", async (_, to) => {
      expect(await transfer(world.namespace("a"), world.namespace(to), POD[to][family])).toBe(true);
    });
  });

  test.each([
    ["IPv4, same node", "b", 4],
    ["IPv4, another node", "c", 4],
    ["IPv6, same node", "b", 6],
    ["IPv6, another node", "c", 6],
  ] as const)("TCP in packets of more than 64 KiB: %s", async (_, to, family) => {
    const size = (most: number) => {
      const sizes = { gsoMaxSize: most, groMaxSize: most, gsoIpv4MaxSize: most, groIpv4MaxSize: most };
      for (const pod of ["a", to]) setLink("eth0", sizes, namespacePath(world.namespace(pod)));
    };
    const malformed = () => world.benches[1].drops("weir0a0a0a0a0a0")["MALFORMED"];
    const before = malformed();
    size(185_000);
    const capture = new Capture(world.namespace("a"), "eth0");
    try {
      expect(await transfer(world.namespace("a"), world.namespace(to), POD[to][family])).toBe(true);
      expect(Math.max(...capture.lengths())).toBeGreaterThan(65_536);
      expect(malformed()).toBe(before);
    } finally {
      capture.close();
      size(65_536);
    }
  });

  test("packets of a pod with another address are dropped", () => {
    world.must("a", "ip", "addr", "add", "10.244.1.77/32", "dev", "eth0");
    const before = world.benches[1].drops("weir0a0a0a0a0a0")["SPOOFED"] ?? 0;
    expect(world.ping("a", POD.b[4], "-I", "10.244.1.77").text).toContain("0 received");
    expect((world.benches[1].drops("weir0a0a0a0a0a0")["SPOOFED"] ?? 0) - before).toBe(2);
    world.must("a", "ip", "addr", "del", "10.244.1.77/32", "dev", "eth0");
  });

  test.each([4, 6] as const)("a pod cannot spoof another through a node's tunnel port, IPv%i", (family) => {
    const posing = ip({ src: POD.c[4], dst: POD.b[4] }, dns());
    const inner = ethernet({ src: MACS.far, dst: MACS.router }, posing);
    const vxlan = udp({ sport: 40000, dport: 4789 }, Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 0, 1, 0]), inner]));
    const before = world.benches[1].sent("weir0b0b0b0b0b0");
    for (const node of [1, 2] as const) {
      inject(world.namespace("a"), "eth0", fromA(ip({ src: POD.a[family], dst: NODE[node][family] }, vxlan)));
    }
    expect(world.ping("a", NODE[2][family]).text).toContain("2 received");
    expect(world.benches[1].sent("weir0b0b0b0b0b0")).toBe(before);
  });

  const good4 = ip({ src: POD.a[4], dst: POD.b[4] }, dns());
  const good6 = ip({ src: POD.a[6], dst: POD.b[6] }, dns());
  const tag = (packet: Layer3): Layer3 => ({
    type: 0x8100,
    bytes: Buffer.concat([Buffer.from([0, 5, packet.type >> 8, packet.type & 0xff]), packet.bytes]),
  });
  test.each([
    ["an IPv4 header cut short", fromA(good4).subarray(0, 33), "MALFORMED"],
    ["nothing behind Ethernet, IPv4", fromA(good4).subarray(0, 14), "MALFORMED"],
    ["an IPv6 header cut short", fromA(good6).subarray(0, 53), "MALFORMED"],
    ["nothing behind Ethernet, IPv6", fromA(good6).subarray(0, 14), "MALFORMED"],
    ["a VLAN tag", fromA(tag(good4)), "PROTOCOL"],
    ["two VLAN tags", fromA(tag(tag(good6))), "PROTOCOL"],
  ])("frames sent by a pod: %s", (_, frame, reason) => {
    const count = () => world.benches[1].drops("weir0a0a0a0a0a0")[reason] ?? 0;
    const before = count();
    inject(world.namespace("a"), "eth0", frame);
    expect(count() - before).toBe(1);
  });

  describe("a pod with a larger MTU than the path", () => {
    beforeAll(() => {
      world.must("node1", "ip", "link", "set", "weir0a0a0a0a0a0", "mtu", "1500");
      world.must("node2", "ip", "link", "set", "weir0c0c0c0c0c0", "mtu", "1500");
      for (const pod of ["a", "c"]) world.must(pod, "ip", "link", "set", "eth0", "mtu", "1500");
    });

    test("learns the path's MTU, IPv4", () => {
      expect(world.ping("a", POD.c[4], "-M", "do", "-s", "1472").text).toContain("mtu = 1450");
      expect(world.must("a", "ip", "route", "get", POD.c[4])).toContain("mtu 1450");
    });

    test("learns the path's MTU, IPv6", () => {
      expect(world.ping("a", POD.c[6], "-M", "do", "-s", "1452").text).toMatch(/too big.*mtu=1450|mtu=1450/i);
      expect(world.must("a", "ip", "-6", "route", "get", POD.c[6])).toContain("mtu 1450");
    });

    test.each([4, 6] as const)("tracepath finds the path's MTU, IPv%i", (family) => {
      world.must("a", "ip", `-${family}`, "route", "flush", "cache");
      const out = world.must("a", "tracepath", "-n", `-${family}`, POD.c[family]);
      expect(out).toMatch(new RegExp(`${GATEWAY[1][family]} .*pmtu 1450`));
      expect(out).toContain("Resume: pmtu 1450 hops 3 back 3");
    });

    test.each([4, 6] as const)("TCP adapts to the path's MTU, IPv%i", async (family) => {
      world.must("a", "ip", "route", "flush", "cache");
      world.must("a", "ip", "-6", "route", "flush", "cache");
      expect(await transfer(world.namespace("a"), world.namespace("c"), POD.c[family])).toBe(true);
      expect(await transfer(world.namespace("c"), world.namespace("a"), POD.a[family])).toBe(true);
    });

    test("IPv4 without DF is fragmented by the node", () => {
      world.must("a", "ip", "route", "flush", "cache");
      expect(world.ping("a", POD.b[4], "-M", "dont", "-s", "1472").text).toContain("2 received");
    });
  });
});
