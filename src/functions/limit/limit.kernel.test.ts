import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arp, ethernet, icmp, icmp6, ip4, ip6, type Layer4, tcp, udp } from "../../../test/packets.ts";
import { firstHop } from "../../datapath/layout.ts";
import { classId } from "../../datapath/shapers.ts";
import { classes, findLink, type SkbCtx } from "../../kernel/index.ts";
import type { LimitRule } from "../../model/limits.ts";
import { SHAPE } from "../../model/panel.ts";
import { Node } from "../testing/node.ts";
import { limitInstance } from "./limit.ts";

const REDIRECT = 7;
const SHOT = 2;
const RESUMED = 0x01000000;

const rule = (direction: LimitRule["direction"], rate: number): LimitRule => ({
  direction,
  rate,
  source: "test",
  configured: String(rate),
});

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

const instanceId = (direction: LimitRule["direction"]): number =>
  node.panel.names.id("instance", limitInstance(node.endpoint("a").device, direction));
/** The hop of pod a's limit: the first of its chain. */
const hopOf = (direction: LimitRule["direction"]): number =>
  firstHop(
    node.panel.names.id("port", `router:${node.endpoint("a").device}`),
    direction === "egress" ? "ingress" : "egress",
  );

/** Runs a frame at pod a's limit, as new or as back from the shaping device. */
function run(direction: LimitRule["direction"], frame: Buffer, ctx: Partial<SkbCtx> = {}, resumed = false) {
  const mark = (hopOf(direction) | (resumed ? RESUMED : 0)) >>> 0;
  return node.inNode(() => node.panel.resume.testRun({ data: frame, ctx: { ...ctx, mark } }));
}

function use(direction: LimitRule["direction"]): { packets: number; bytes: number; rate: number } {
  const table = node.panel.table("weir_limit_use");
  const row = table.lookup(table.key.encode({ instance: instanceId(direction) }));
  const { packets = 0, bytes = 0, rate = 0 } = row ? (table.value.decode(row) as Record<string, bigint>) : {};
  return { packets: Number(packets), bytes: Number(bytes), rate: Number(rate) };
}

const LINK = { src: "02:00:00:00:01:10", dst: "02:77:65:69:72:01" };
const V4 = { src: "10.244.1.10", dst: "10.244.1.11" };
const V6 = { src: "fd00:10:244:1::10", dst: "fd00:10:244:1::11" };
const PORTS = { sport: 1000, dport: 2000 };
const over4 = (layer4: Layer4): Buffer => ethernet(LINK, ip4(V4, layer4));
const over6 = (layer4: Layer4, ends = V6): Buffer => ethernet(LINK, ip6({ ...ends, hopLimit: 255 }, layer4));
/** UDP of `bytes` at layer 3. */
const udp4 = (bytes: number): Buffer => over4(udp(PORTS, Buffer.alloc(bytes - 28)));
const udp6 = (bytes: number): Buffer => over6(udp(PORTS, Buffer.alloc(bytes - 48)));

describe("a pod's own limit", () => {
  beforeAll(() => {
    node.apply({ a: [rule("egress", 10e6), rule("ingress", 20e6)] });
  });

  const DISCOVERY = icmp6({ type: 135 }, Buffer.alloc(20));
  test.each([
    ["an IPv4 packet of 256 bytes", udp4(256), "small"],
    ["one of 257", udp4(257), "bulk"],
    ["an IPv6 packet of 256 bytes", udp6(256), "small"],
    ["one of 257", udp6(257), "bulk"],
    ["a TCP acknowledgement", over4(tcp(PORTS)), "small"],
    ["a full TCP segment", over6(tcp(PORTS, Buffer.alloc(1428))), "bulk"],
    ["a ping", over4(icmp({ type: 8 })), "small"],
    ["a large ping", over6(icmp6({ type: 128 }, Buffer.alloc(1000))), "bulk"],
    ["neighbour discovery between pods' own addresses", over6(DISCOVERY), "small"],
  ] as const)("%s goes to the %s class", (_what, frame, leaf) => {
    const { retval, ctx } = run("egress", frame);
    expect(retval).toBe(REDIRECT);
    expect(ctx.priority).toBe(classId(instanceId("egress"), leaf));
    expect(ctx.mark & 0x0fffff).toBe(hopOf("egress"));
  });

  test.each([
    ["ARP", ethernet(LINK, arp({ op: 1, senderMac: LINK.src, sender: V4.src, target: "169.254.1.1" }))],
    ["neighbour discovery with the gateway", over6(DISCOVERY, { ...V6, dst: "fe80::1" })],
    ["a router solicitation", over6(DISCOVERY, { ...V6, dst: "ff02::2" })],
    // Again, if the pod's own kernel sent something in between.
  ])("%s never waits", { retry: 2 }, (_what, frame) => {
    const before = use("egress").packets;
    expect(run("egress", frame).ctx.priority).toBe(0);
    expect(use("egress").packets).toBe(before);
  });

  test.each([
    ["UDP over IPv4", udp4(1500), {}, 1, 1500],
    ["UDP over IPv6", udp6(100), {}, 1, 100],
    ["TCP of 4 segments", over4(tcp(PORTS, Buffer.alloc(3000))), { gsoSegs: 4, gsoSize: 750 }, 4, 3040 + 3 * 40],
    ["TCP of 3 over IPv6", over6(tcp(PORTS, Buffer.alloc(3000))), { gsoSegs: 3, gsoSize: 1000 }, 3, 3060 + 2 * 60],
    ["UDP of 2", over4(udp(PORTS, Buffer.alloc(2000))), { gsoSegs: 2, gsoSize: 1000 }, 2, 2028 + 28],
    // Again, if the pod's own kernel sent something in between.
  ])("back in its turn, %s counts as on the wire", { retry: 2 }, (_what, frame, ctx, packets, bytes) => {
    const before = use("egress");
    run("egress", frame, ctx, true);
    const after = use("egress");
    expect([after.packets - before.packets, after.bytes - before.bytes]).toEqual([packets, bytes]);
  });

  test("what a pod receives is queued as a copy, which no sender is charged for", () => {
    const { retval, ctx } = run("ingress", udp4(1500));
    expect(retval).toBe(SHOT);
    expect(ctx.priority).toBe(classId(instanceId("ingress"), "bulk"));
  });

  test("the pod's device builds packets of a millisecond, and of any size once its limit is gone", () => {
    const segments = () => findLink("eth0", node.path("a"))?.gsoMaxSegs;
    expect(segments()).toBe(1);
    node.apply({ a: [rule("egress", 100e6)] });
    expect(segments()).toBe(8);
    node.apply({ a: [rule("ingress", 10e6)] });
    expect(segments()).toBe(65535);
    expect(findLink(SHAPE.device, node.path("node"))?.mtu).toBe(1500);
  });
});

test("another agent that finds the limits in place writes nothing", () => {
  const limits = { a: [rule("egress", 7e6)], b: [rule("ingress", 9e6)] };
  for (let pass = 0; pass < 3; pass++) node.apply(limits); // what other tests left drains and goes
  expect(
    node.apply(
      limits,
      node.inNode(() => node.datapath()),
    ),
  ).toBe(0);
});

test("a limit that is gone leaves no class and no counter behind", () => {
  node.apply({ a: [rule("egress", 5e6)] });
  const minor = classId(instanceId("egress"), "bulk");
  const held = () => classes(SHAPE.device, node.path("node")).some((one) => one.handle === minor);
  expect(held()).toBe(true);
  const counted = () => node.panel.table("weir_limit_use").entries().length;
  run("egress", udp4(1500), {}, true);
  expect(counted()).toBeGreaterThan(0);
  for (let pass = 0; pass < 3; pass++) node.apply({});
  expect(held()).toBe(false);
  expect(counted()).toBe(0);
});

describe("real traffic", () => {
  const RATE = 2e6;

  /** What pod b's UDP receiver took of an offer of six times the rate, bit/s at layer 3. */
  function received(bytes: number): number {
    const options = ["-u", "-b", String(6 * RATE), "-l", String(bytes), "-t", "4", "-O", "1"];
    node.run("b", "iperf3", "-s", "-1", "-D");
    const { end } = JSON.parse(node.run("a", "iperf3", "-J", ...options, "-c", V4.dst)) as {
      end: Record<"sum" | "sum_received", { bits_per_second: number } | undefined>;
    };
    return ((end.sum_received ?? end.sum)?.bits_per_second ?? 0) * ((bytes + 28) / bytes);
  }

  test.each(["egress", "ingress"] as const)(
    "UDP at six times the limit: %s",
    (direction) => {
      node.apply(direction === "egress" ? { a: [rule("egress", RATE)] } : { b: [rule("ingress", RATE)] });
      const rate = received(1400);
      // A machine with other work loses moments for good, so the lower bound is wide; nothing may pass beyond the rate.
      expect(rate).toBeLessThan(1.06 * RATE);
      expect(rate).toBeGreaterThan(0.6 * RATE);
    },
    60_000,
  );
});
