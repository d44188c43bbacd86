import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { arp, ethernet, icmp6, ip4, ip6, type Layer4, tcp, udp } from "../../../test/packets.ts";

import { firstHop, markOf } from "../../datapath/layout.ts";
import { blockOf } from "../../datapath/shaper-classes.ts";

import { classes, findLink, type SkbCtx, setLink } from "../../kernel/index.ts";
import type { LimitRule } from "../../model/limits.ts";
import { SHAPE } from "../../model/panel.ts";
import { PLACE, SETS, shape } from "../../model/shape.ts";
import { Node } from "../testing/node.ts";
import { limitRule as rule } from "../testing/rules.ts";
import { limitInstance } from "./limit.ts";

const REDIRECT = 7;
const RESUMED = 0x01000000;

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

const instanceId = (direction: LimitRule["direction"]): number =>
  node.panel.names.id("instance", limitInstance(node.endpoint("a").device, direction));
/** The hop of pod a's limit, the first of its chain. */
const hopOf = (direction: LimitRule["direction"]): number =>
  firstHop(
    node.panel.names.id("port", `router:${node.endpoint("a").device}`),
    direction === "egress" ? "ingress" : "egress",
  );

/** Runs a frame at pod a's limit, as new or as back from the shaping device. */
function run(direction: LimitRule["direction"], frame: Buffer, ctx: Partial<SkbCtx> = {}, resumed = false) {
  const mark = markOf(hopOf(direction), node.panel.abi, resumed ? RESUMED : 0);
  return node.inNode(() => node.panel.resume.testRun({ data: frame, ctx: { ...ctx, mark } }));
}

type Count = "packets" | "bytes" | "received_packets" | "refused_packets" | "marked_packets";
function use(direction: LimitRule["direction"]): Record<Count, number> {
  const table = node.panel.table("weir_limit_use");
  const row = table.lookup(table.key.encode({ instance: instanceId(direction) }));
  const fields = row ? table.value.decode(row) : {};
  const count = (name: Count): number => Number(fields[name] ?? 0);
  return {
    packets: count("packets"),
    bytes: count("bytes"),
    received_packets: count("received_packets"),
    refused_packets: count("refused_packets"),
    marked_packets: count("marked_packets"),
  };
}

/** The place of the class in which a packet is queued; undefined: it was refused. */
function placeOf(direction: LimitRule["direction"], frame: Buffer): number | undefined {
  const { retval, ctx } = run(direction, frame);
  const id = node.panel.names.id("shaper", limitInstance(node.endpoint("a").device, direction));
  return retval === REDIRECT ? ctx.priority - blockOf(id) : undefined;
}

const LINK = { src: "02:00:00:00:01:10", dst: "02:77:65:69:72:01" };
const V4 = { src: "10.244.1.10", dst: "10.244.1.11" };
const V6 = { src: "fd00:10:244:1::10", dst: "fd00:10:244:1::11" };
const PORTS = { sport: 1000, dport: 2000 };
const over4 = (layer4: Layer4): Buffer => ethernet(LINK, ip4(V4, layer4));
const over6 = (layer4: Layer4, ends = V6): Buffer => ethernet(LINK, ip6({ ...ends, hopLimit: 255 }, layer4));
/** A UDP packet of `bytes` at layer 3. */
const udp4 = (bytes: number, ports = PORTS): Buffer => over4(udp(ports, Buffer.alloc(bytes - 28)));
const udp6 = (bytes: number): Buffer => over6(udp(PORTS, Buffer.alloc(bytes - 48)));

/** Ports of a flow that no other test uses. */
let ports = 3000;
const ownPorts = () => ({ sport: ++ports, dport: 2000 });
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
/** Replaces limits: in test runs of a pod's egress packets stay queued until the limit is removed. */
const anew = (...limits: LimitRule[]): void => {
  for (let pass = 0; pass < 3; pass++) node.apply({});
  node.apply({ a: limits });
};
const { set } = shape({ rate: 10e6, mtu: 1500 });
const isLeaf = (place: number | undefined): boolean =>
  place !== undefined && place >= set.place && place < set.place + 20;

describe("a pod's own limit", () => {
  beforeAll(() => anew(rule("egress", 10e6), rule("ingress", 20e6)));

  const DISCOVERY = icmp6({ type: 135 }, Buffer.alloc(20));
  test.each([
    ["a small packet", udp4(64, ownPorts())],
    ["a large one", udp4(1500, ownPorts())],
    ["one over IPv6", udp6(1400)],
    ["a TCP acknowledgement", over4(tcp(PORTS))],
    ["a full TCP segment", over6(tcp(PORTS, Buffer.alloc(1428)))],
    ["a large ping", over6(icmp6({ type: 128 }, Buffer.alloc(1000)))],
    ["neighbour discovery between pods' own addresses", over6(DISCOVERY)],
  ] as const)("%s of a sparse flow goes first", (_what, frame) => {
    expect(placeOf("egress", frame)).toBe(PLACE.first);
  });

  test.each([
    ["ARP", ethernet(LINK, arp({ op: 1, senderMac: LINK.src, sender: V4.src, target: "169.254.1.1" }))],
    ["neighbour discovery with the gateway", over6(DISCOVERY, { ...V6, dst: "fe80::1" })],
    ["a router solicitation", over6(DISCOVERY, { ...V6, dst: "ff02::2" })],
  ])("%s is never queued", (_what, frame) => {
    expect(run("egress", frame).ctx.priority).toBe(0);
  });

  test.each([
    ["UDP over IPv4", udp4(1500), {}, 1, 1500],
    ["UDP over IPv6", udp6(100), {}, 1, 100],
    ["TCP of 4 segments", over4(tcp(PORTS, Buffer.alloc(3000))), { gsoSegs: 4, gsoSize: 750 }, 4, 3040 + 3 * 40],
    ["TCP of 3 over IPv6", over6(tcp(PORTS, Buffer.alloc(3000))), { gsoSegs: 3, gsoSize: 1000 }, 3, 3060 + 2 * 60],
    ["UDP of 2", over4(udp(PORTS, Buffer.alloc(2000))), { gsoSegs: 2, gsoSize: 1000 }, 2, 2028 + 28],
  ])("after returning, %s is counted with its size on the wire", (_what, frame, ctx, packets, bytes) => {
    // the pod's own kernel may send, but nobody sends to it
    const before = use("ingress");
    run("ingress", frame, ctx, true);
    const after = use("ingress");
    expect([after.packets - before.packets, after.bytes - before.bytes]).toEqual([packets, bytes]);
  });

  test("the pod's GSO packets are limited to a millisecond, and unlimited once its limit is removed", () => {
    const segments = () => findLink("eth0", node.path("a"))?.gsoMaxSegs;
    expect(segments()).toBe(1);
    node.apply({ a: [rule("egress", 100e6)] });
    expect(segments()).toBe(8);
    node.apply({ a: [rule("ingress", 10e6)] });
    expect(segments()).toBe(65535);
    expect(findLink(SHAPE.device, node.path("node"))?.mtu).toBe(1500);
  });
});

/** At 100 kbit/s a flow soon is not sparse, even with slow test runs. */
describe("flows that are not sparse", () => {
  beforeEach(() => anew(rule("egress", 0.1e6)));

  /** Sends until this many packets are queued in leaves. Returns their places. */
  function leavesOf(count: number, frame: (index: number) => Buffer): number[] {
    const found: number[] = [];
    for (let sent = 0; sent < 500 && found.length < count; sent++) {
      const place = placeOf("egress", frame(sent));
      if (place !== undefined && isLeaf(place)) found.push(place);
    }
    return found;
  }

  test("one flow is queued in one leaf, whatever its packet sizes", () => {
    const flow = ownPorts();
    const places = leavesOf(3, (index) => udp4(index % 2 === 1 ? 64 : 200, flow));
    expect(places).toHaveLength(3);
    expect(new Set(places).size).toBe(1);
  });

  test("two flows are queued in two leaves", () => {
    const [one, two] = [ownPorts(), ownPorts()];
    const places = [...leavesOf(1, () => udp4(200, one)), ...leavesOf(1, () => over4(tcp(two, Buffer.alloc(200))))];
    expect(places).toHaveLength(2);
    expect(places[0]).not.toBe(places[1]);
  });
});

/**
 * At 500 kbit/s packets take much longer than test runs. Nothing is dequeued, so a backlog counts as gone after 400 ms.
 */
describe("what a limit refuses", () => {
  const BYTES = 1000;
  beforeEach(() => anew(rule("egress", 0.5e6)));

  /** Sends a flow's UDP until a packet is refused. Returns a result for each accepted one. */
  function fill<T>(send: () => T | undefined): T[] {
    const taken: T[] = [];
    for (let sent = 0; sent < 500; sent++) {
      const one = send();
      if (one === undefined) return taken;
      taken.push(one);
    }
    throw new Error("nothing was refused");
  }
  const place = (frame: Buffer) => placeOf("egress", frame);
  /** Queued bytes, and the number of leaves with a backlog. */
  function waiting(): { tcp: number; other: number; active: number } {
    const table = node.panel.table("weir_limit_queue");
    const row = table.lookup(table.key.encode({ instance: instanceId("egress") }));
    const { tcp, other, active } = row ? table.value.decode(row) : {};
    return { tcp: Number(tcp), other: Number(other), active: Number(active) };
  }

  test("UDP is accepted while it would be queued for less than 50 ms, in addition to sparse packets", () => {
    const flow = ownPorts();
    const taken = fill(() => place(udp4(BYTES, flow)));
    expect(taken.length).toBeGreaterThanOrEqual(4 + 3);
    expect(taken.length).toBeLessThan(20);
  });

  test("every received packet is refused or queued", () => {
    const flow = ownPorts();
    const taken = fill(() => place(udp4(BYTES, flow)));
    expect(use("egress")).toMatchObject({ received_packets: taken.length + 1, refused_packets: 1, packets: 0 });
  });

  test.each([
    ["ECT(0)", 2],
    ["ECT(1)", 1],
  ])("%s packets are marked in a queue that is half full", (_what, ect) => {
    const flow = ownPorts();
    const bits = fill(() => {
      const frame = udp4(BYTES, flow);
      frame.writeUInt8(ect, 15);
      const { retval, data } = run("egress", frame);
      return retval === REDIRECT ? data.readUInt8(15) : undefined;
    });
    expect(new Set(bits)).toEqual(new Set([ect, 3]));
    expect(bits.toSorted()).toEqual(bits);
    expect(use("egress").marked_packets).toBe(bits.filter((one) => one === 3).length);
  });

  test("packets that are not ECN-capable are not marked", () => {
    const flow = ownPorts();
    fill(() => place(udp4(BYTES, flow)));
    expect(use("egress").marked_packets).toBe(0);
  });

  test("the backlog of removed leaves is forgotten even if none of its flows sends again", async () => {
    const flow = ownPorts();
    fill(() => place(udp4(BYTES, flow)));
    expect(waiting().active).toBe(1);
    await sleep(1000);
    for (let i = 0; i < 64; i++) place(udp4(64, ownPorts()));
    expect(waiting()).toEqual({ tcp: 0, other: 0, active: 0 });
  });

  /** A first fragment has the ports, a later one only data. */
  const fragment = (id: number, offset: number, flow: typeof PORTS): Buffer => {
    const later: Layer4 = () => ({ protocol: 17, bytes: Buffer.alloc(LATER) });
    const whole = udp(flow, Buffer.alloc(LATER - 8));
    return ethernet(LINK, ip4({ ...V4, id, mf: true, offset: offset / 8 }, offset === 0 ? whole : later));
  };
  const HEAD = 0;
  const LATER = 2008;

  /** Sends first fragments until one is queued in a leaf. */
  function headInLeaf(flow: typeof PORTS): { id: number; head: number | undefined } {
    for (let sent = 0; sent < 20; sent++) if (isLeaf(place(udp4(600, flow)))) break;
    return { id: 1, head: place(fragment(1, HEAD, flow)) };
  }

  test("a later fragment follows the first: to its leaf, or it is dropped", () => {
    const flow = ownPorts();
    const { id, head } = headInLeaf(flow);
    expect(isLeaf(head)).toBe(true);
    fill(() => place(udp4(BYTES, flow)));
    expect(place(fragment(id, LATER, flow))).toBe(head);
    expect(place(fragment(id + 1, HEAD, flow))).toBeUndefined();
    expect(place(fragment(id + 1, LATER, flow))).toBeUndefined();
  });

  test("SYNs of new connections are queued no longer than UDP", () => {
    const taken = fill(() => place(over4(tcp({ ...ownPorts(), flags: 2 }, Buffer.alloc(988)))));
    expect(taken.length * 1028).toBeLessThan((1e6 / 8) * 0.06 + 2 * 8192);
  });

  test("fragmented datagrams of new flows are not sparse, and are accepted completely or not at all", () => {
    const taken: (number | undefined)[][] = [];
    do {
      const [flow, id] = [ownPorts(), taken.length + 1];
      const offsets = Array.from({ length: 31 }, (_, index) => index * LATER);
      const places = offsets.map((offset) => place(fragment(id, offset, flow)));
      taken.push(places.filter((one) => one !== undefined));
    } while (taken.at(-1)?.length !== 0 && taken.length < 20);
    expect(taken.flat()).not.toContain(PLACE.first);
    expect(taken[0]).toHaveLength(31);
    // a queued datagram exceeds the time limit for another, so the next is refused; after slow runs the first may be
    // forgotten
    expect(taken.at(-1)).toEqual([]);
    for (const places of taken) expect([0, 31]).toContain(places.length);
  });

  test("no more than 65,535 bytes of a datagram are accepted", () => {
    const flow = ownPorts();
    const { id } = headInLeaf(flow);
    const taken = fill(() => place(fragment(id, LATER, flow)));
    expect(taken.length).toBeGreaterThanOrEqual(31);
    expect(taken.length).toBeLessThan(31 + 20);
  });
});

test("another agent takes over limits without a write", () => {
  const limits = { a: [rule("egress", 7e6)], b: [rule("ingress", 9e6)] };
  for (let pass = 0; pass < 3; pass++) node.apply(limits); // limits of other tests drain and are removed
  expect(
    node.apply(
      limits,
      node.inNode(() => node.datapath()),
    ),
  ).toBe(0);
});

test.each([10e6, 100e6])("leaves of a limit of %d bit/s pass larger frames after the MTU was raised", (rate) => {
  const limits = { a: [rule("egress", rate)] };
  const mtu = 9000;
  anew(rule("egress", rate));
  node.applyRules({ limits, mtu });
  const leaves = classes(SHAPE.device, node.path("node")).filter(({ htb }) => htb?.prio === 1);
  expect(leaves.length).toBeGreaterThan(0);
  expect(Math.min(...leaves.map(({ htb }) => htb?.quantum ?? 0))).toBeGreaterThan(mtu);
  expect(
    node.applyRules(
      { limits, mtu },
      node.inNode(() => node.datapath()),
    ),
  ).toBe(0);
  anew(rule("egress", rate));
});

test("a removed limit leaves no class and no counter", async () => {
  node.apply({ a: [rule("egress", 5e6)] });
  const block = blockOf(node.panel.names.id("shaper", limitInstance(node.endpoint("a").device, "egress")));
  const held = () => classes(SHAPE.device, node.path("node")).some((one) => one.handle === block + SETS[0]);
  expect(held()).toBe(true);
  const counted = () => node.panel.table("weir_limit_use").entries().length;
  run("egress", udp4(1500), {}, true);
  expect(counted()).toBeGreaterThan(0);
  // its classes are removed once the queue is empty
  await expect
    .poll(() => {
      node.apply({});
      return [held(), counted()];
    })
    .toEqual([false, 0]);
});

describe("edits under load", () => {
  /** Waits until the limit has passed this many more bytes. */
  async function passes(direction: LimitRule["direction"], bytes: number): Promise<void> {
    const until = use(direction).bytes + bytes;
    while (use(direction).bytes < until) await sleep(20);
  }

  test.each(["egress", "ingress"] as const)(
    "%s: no step between rates, up or down, stops traffic that fills the queue",
    async (direction) => {
      node.apply({ a: [rule(direction, 2000e6)] });
      const [server, client] = direction === "egress" ? (["b", "a"] as const) : (["a", "b"] as const);
      const to = node.endpoint(server).ips[0] ?? "";
      node.run(server, "iperf3", "-s", "-1", "-D");
      const traffic = node.start(client, "iperf3", "-c", to, "-t", "600", "-P", "4");
      try {
        await passes(direction, 10_000_000);
        for (const rate of [50, 500, 3, 100, 20, 4000, 37, 3, 2000, 80, 20]) {
          node.apply({ a: [rule(direction, rate * 1e6)] });
          await passes(direction, 200_000);
        }
        node.inNode(() => setLink(SHAPE.device, { up: false }));
        node.inNode(() => setLink(SHAPE.device, { up: true }));
        await passes(direction, 200_000);
      } finally {
        traffic.kill("SIGKILL");
      }
    },
    120_000,
  );
});
