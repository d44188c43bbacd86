import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checksum, ethernet, ip4, ip6, tcp, udp } from "../../../test/packets.ts";
import { program } from "../../datapath/programs/testing/sources.ts";
import { Bench } from "./testing/bench.ts";

const A = { v4: "10.244.1.10", v6: "fd00:10:244:1::10" };
const B = { v4: "10.244.1.11", v6: "fd00:10:244:1::11" };
const LINK = { src: "02:00:00:00:01:10", dst: "02:77:65:69:72:01" };
const DATAGRAM = udp({ sport: 40_000, dport: 5060 }, Buffer.alloc(100, 7));
const SYN = tcp({ sport: 40_000, dport: 80, flags: 0x02 });
const DATA = tcp({ sport: 40_000, dport: 80, flags: 0x10 });
const frame4 = (layer4: typeof SYN) => ethernet(LINK, ip4({ src: A.v4, dst: B.v4 }, layer4));
const frame6 = (layer4: typeof SYN) => ethernet(LINK, ip6({ src: A.v6, dst: B.v6 }, layer4));

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
});
afterAll(() => bench?.close());

/** Attaches a program to pod a's egress. Returns its build. */
async function put(text: string, macros: Record<string, number> = {}): Promise<string> {
  const build = await bench.build("egress", text, macros);
  bench.node.applyRules({ builds: { a: [{ direction: "egress", build }] } });
  return build;
}

describe("the wrapper carries out verdicts", () => {
  test.each([
    ["TC_ACT_OK", 0, 0, 0],
    ["TC_ACT_SHOT", 2, 1, 0],
    ["TC_ACT_UNSPEC", -1, 0, 1],
    ["TC_ACT_REDIRECT", 7, 0, 1],
    ["a number that means nothing", 12345, 0, 1],
  ])("%s", async (_what, verdict, drops, others) => {
    const build = await put(program(`return ${verdict};`));
    const before = bench.drops();
    for (const frame of [frame4(DATAGRAM), frame6(DATAGRAM), frame4(SYN)]) bench.run("egress", frame);
    const { packets, dropped, other } = bench.use("egress", build); // the pods' own kernel sends packets too
    expect(packets).toBeGreaterThanOrEqual(3);
    expect([dropped, other]).toEqual([packets * drops, packets * others]);
    expect(bench.drops() - before).toBe(dropped);
  });

  test("a program cannot change the panel's state of a packet", async () => {
    const fields = [
      "mark",
      "priority",
      "tc_index",
      "queue_mapping",
      "tstamp",
      ...[0, 1, 2, 3, 4].map((i) => `cb[${i}]`),
    ];
    const spoil = fields.map((field) => `skb->${field} = 7; asm volatile("" ::: "memory");`).join("\n");
    const build = await put(program(`${spoil} return 0;`));
    const plain = bench.run("egress", frame4(DATAGRAM));
    expect(bench.use("egress", build)).toMatchObject({ dropped: 0, other: 0 });
    bench.node.applyRules({});
    const without = bench.run("egress", frame4(DATAGRAM));
    expect([plain.retval, plain.ctx.mark, plain.ctx.priority]).toEqual([
      without.retval,
      without.ctx.mark,
      without.ctx.priority,
    ]);
  });

  test("neighbour discovery and ARP bypass the program", async () => {
    const build = await put(program("return TC_ACT_SHOT;"));
    const arp = ethernet(LINK, { type: 0x0806, bytes: Buffer.alloc(28) });
    bench.run("egress", arp);
    expect(bench.use("egress", build).packets).toBe(0);
  });
});

describe("examples", () => {
  test("drop-one-of drops every Nth packet", async () => {
    const build = await put("drop-one-of.c", { N: 10 });
    for (let i = 0; i < 100; i++) bench.run("egress", i % 2 ? frame4(DATAGRAM) : frame6(DATAGRAM));
    const { packets, dropped } = bench.use("egress", build);
    expect(packets).toBeGreaterThanOrEqual(100);
    expect(dropped).toBe(Math.floor(packets / 10));
  });

  test.each([
    ["IPv4", frame4, (data: Buffer) => data.readUInt8(15) >> 2],
    ["IPv6", frame6, (data: Buffer) => (data.readUInt16BE(14) >> 6) & 63],
  ])("mark-dscp writes the DSCP and keeps ECN and checksum correct: %s", async (_what, frame, dscp) => {
    await put("mark-dscp.c", { DSCP: 46, PORT: 5060 });
    const marked = bench.run("egress", frame(DATAGRAM)).data;
    expect(dscp(marked)).toBe(46);
    if (_what === "IPv4") expect(checksum(marked.subarray(14, 34))).toBe(0);
    expect(dscp(bench.run("egress", frame(SYN)).data)).toBe(0);
    await put("mark-dscp.c", { DSCP: 0 });
    expect(dscp(bench.run("egress", frame(SYN)).data)).toBe(0);
    await put("mark-dscp.c", { DSCP: 63 });
    expect(dscp(bench.run("egress", frame(SYN)).data)).toBe(63);
  });

  test.each([
    ["IPv4", frame4],
    ["IPv6", frame6],
  ])("limit-syns passes a burst of SYNs, then drops SYNs only: %s", async (_what, frame) => {
    const build = await put("limit-syns.c", { RATE: 1, BURST: 5 });
    for (let i = 0; i < 20; i++) bench.run("egress", frame(SYN));
    for (let i = 0; i < 20; i++) bench.run("egress", frame(DATA));
    const { packets, dropped } = bench.use("egress", build);
    expect(packets).toBeGreaterThanOrEqual(40);
    expect(dropped).toBe(15);
    bench.node.applyRules({});
  });
});

describe("live changes", () => {
  test("each rule has its own maps, and another build starts with zero counters", async () => {
    const build = await bench.build("egress", "drop-one-of.c", { N: 2 });
    const ingress = await bench.build("ingress", "drop-one-of.c", { N: 2 });
    expect(ingress).not.toBe(build);
    const both = {
      a: [
        { direction: "egress" as const, build },
        { direction: "ingress" as const, build: ingress },
      ],
      b: [{ direction: "egress" as const, build }],
    };
    bench.node.applyRules({ builds: both });
    bench.run("egress", frame4(DATAGRAM));
    expect(bench.use("egress", build)).toMatchObject({ packets: 1, dropped: 0 });
    expect(bench.use("ingress", ingress)).toMatchObject({ packets: 0 });
    expect(bench.use("egress", build, "b")).toMatchObject({ packets: 0 });
    const writes = bench.node.applyRules({ builds: both });
    expect(writes).toBe(0);
    const other = await put("drop-one-of.c", { N: 3 });
    expect(bench.use("egress", other)).toMatchObject({ packets: 0 });
    bench.run("egress", frame4(DATAGRAM));
    expect(bench.use("egress", other)).toMatchObject({ packets: 1 });
  });

  test("another agent reuses loaded programs; a removed program leaves nothing", async () => {
    const build = await put("drop-one-of.c", { N: 5 });
    const { device } = bench.node.endpoint("a");
    const again = bench.node.datapath();
    expect(again.programs.held).toEqual([`custom:${device}:egress:${build}`]);
    expect(bench.node.applyRules({ builds: { a: [{ direction: "egress", build }] } }, again)).toBe(0);
    bench.node.applyRules({}, again);
    expect(again.programs.held).toEqual([]);
    expect([...again.panel.names.all("function").values()].filter((name) => name.startsWith("custom:"))).toEqual([]);
  });

  test("a missing build is a failure, and packets pass", async () => {
    const apply = () => bench.node.applyRules({ builds: { a: [{ direction: "egress", build: "0123456789ab" }] } });
    expect(apply).toThrow(/rules default\/a program.*0123456789ab.*ENOENT/);
    const before = bench.drops();
    bench.run("egress", frame4(DATAGRAM));
    expect(bench.drops()).toBe(before);
    bench.node.applyRules({});
  });
});

describe("real packets between the pods", () => {
  test("drop-one-of drops exactly its share over IPv4 and IPv6", async () => {
    const build = await put("drop-one-of.c", { N: 4 });
    for (const address of [B.v4, B.v6]) {
      bench.node.run("a", "bash", "-c", `for i in {1..40}; do echo x > /dev/udp/${address}/9; done; sleep 0.1`);
    }
    const { packets, dropped } = bench.use("egress", build);
    expect(packets).toBeGreaterThanOrEqual(80);
    expect(dropped).toBe(Math.floor(packets / 4));
    bench.node.applyRules({});
  });
});
