import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ETH, echo, ethernet, ip, ip4, ip6, type Layer3, raw, tcp } from "../../../test/packets.ts";
import { faults, parse } from "../../../test/parse.ts";
import type { Port } from "../../model/document.ts";
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
  destinationOptions,
  dns,
  fromA,
  fromFar,
  fromHost,
  GW4,
  GW6,
  hopByHop,
  icmpError,
  MACS,
  NODE1,
  NODE2,
  options,
  WORLD,
} from "./testing/frames.ts";

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
  bench.apply(cluster());
});
afterAll(() => bench?.close());

/** Each packet is answered by an ICMP error that quotes it. */
describe("answers with ICMP errors", () => {
  const tooBig4 = ip4({ src: A4, dst: B4, df: true }, dns(bytes(2000)));
  const tooBig6 = ip6({ src: A6, dst: NODE2.pod6 }, dns(bytes(2000)));
  const toOverlay = (packet: Layer3) => fromFar(packet);
  const back = `peer router:${A.device}`;
  type Want = { drop: string; out: string; type: number; code: number; mtu?: number };
  const rows: [string, string, Buffer, Want][] = [
    ["TTL 1", A.device, fromA(ip({ src: A4, dst: B4, ttl: 1 }, dns())), { drop: "TTL", out: back, type: 11, code: 0 }],
    ["TTL 0", A.device, fromA(ip({ src: A4, dst: B4, ttl: 0 }, dns())), { drop: "TTL", out: back, type: 11, code: 0 }],
    [
      "TTL 1, ping",
      A.device,
      fromA(ip({ src: A4, dst: B4, ttl: 1 }, echo(4))),
      { drop: "TTL", out: back, type: 11, code: 0 },
    ],
    [
      "TTL 1, with options",
      A.device,
      fromA(ip4({ src: A4, dst: B4, ttl: 1, options }, dns())),
      { drop: "TTL", out: back, type: 11, code: 0 },
    ],
    [
      "TTL 1, a first fragment",
      A.device,
      fromA(ip4({ src: A4, dst: B4, ttl: 1, mf: true }, raw(17, bytes(64)))),
      { drop: "TTL", out: back, type: 11, code: 0 },
    ],
    [
      "TTL 1, of 20 bytes",
      A.device,
      fromA(ip4({ src: A4, dst: B4, ttl: 1 }, raw(59, Buffer.alloc(0)))),
      { drop: "TTL", out: back, type: 11, code: 0 },
    ],
    [
      "TTL 1, odd length",
      A.device,
      fromA(ip({ src: A4, dst: B4, ttl: 1 }, dns(bytes(7)))),
      { drop: "TTL", out: back, type: 11, code: 0 },
    ],
    [
      "TTL 1, full size",
      A.device,
      fromA(ip({ src: A4, dst: B4, ttl: 1 }, dns(bytes(1400)))),
      { drop: "TTL", out: back, type: 11, code: 0 },
    ],
    [
      "hop limit 1",
      A.device,
      fromA(ip({ src: A6, dst: B6, ttl: 1 }, dns())),
      { drop: "TTL", out: back, type: 3, code: 0 },
    ],
    [
      "hop limit 1, full size",
      A.device,
      fromA(ip({ src: A6, dst: B6, ttl: 1 }, dns(bytes(1400)))),
      { drop: "TTL", out: back, type: 3, code: 0 },
    ],
    [
      "hop limit 1, extension headers",
      A.device,
      fromA(ip6({ src: A6, dst: B6, hopLimit: 1, extensions: [hopByHop, destinationOptions] }, dns())),
      { drop: "TTL", out: back, type: 3, code: 0 },
    ],
    [
      "hop limit 1, of 40 bytes",
      A.device,
      fromA(ip6({ src: A6, dst: B6, hopLimit: 1 }, raw(59, Buffer.alloc(0)))),
      { drop: "TTL", out: back, type: 3, code: 0 },
    ],
    ["too big", A.device, fromA(tooBig4), { drop: "TOO_BIG", out: back, type: 3, code: 4, mtu: 1450 }],
    ["too big, IPv6", A.device, fromA(tooBig6), { drop: "TOO_BIG", out: back, type: 2, code: 0, mtu: 1450 }],
    [
      "one byte too big",
      A.device,
      fromA(ip4({ src: A4, dst: B4, df: true }, dns(bytes(1423)))),
      { drop: "TOO_BIG", out: back, type: 3, code: 4, mtu: 1450 },
    ],
    [
      "too big for the stack too",
      "host",
      fromHost(ip4({ src: NODE1.own4, dst: B4 }, dns(bytes(1423)))),
      { drop: "TOO_BIG", out: "receive router:host", type: 3, code: 4, mtu: 1450 },
    ],
    [
      "nobody's address of ours",
      A.device,
      fromA(ip({ src: A4, dst: "10.244.1.200" }, dns())),
      { drop: "NO_ROUTE", out: back, type: 3, code: 1 },
    ],
    [
      "nobody's address of ours, IPv6",
      A.device,
      fromA(ip({ src: A6, dst: "fd00:10:244:1::200" }, dns())),
      { drop: "NO_ROUTE", out: back, type: 1, code: 3 },
    ],
    [
      "the stack's default route is not ours",
      "host",
      fromHost(ip({ src: NODE1.own4, dst: WORLD.v4 }, dns())),
      { drop: "NO_ROUTE", out: "receive router:host", type: 3, code: 0 },
    ],
    [
      "… IPv6",
      "host",
      fromHost(ip({ src: NODE1.own6, dst: WORLD.v6 }, dns())),
      { drop: "NO_ROUTE", out: "receive router:host", type: 1, code: 0 },
    ],
    [
      "UDP to the gateway",
      A.device,
      fromA(ip({ src: A4, dst: GW4 }, dns())),
      { drop: "PROTOCOL", out: back, type: 3, code: 3 },
    ],
    [
      "TCP to the gateway, IPv6",
      A.device,
      fromA(ip({ src: A6, dst: GW6 }, tcp({ sport: 9, dport: 80 }))),
      { drop: "PROTOCOL", out: back, type: 1, code: 4 },
    ],
    [
      "overlay, no such pod",
      "overlay",
      toOverlay(ip({ src: NODE2.pod4, dst: "10.244.1.200" }, dns())),
      { drop: "NO_ROUTE", out: "tunnel node-2", type: 3, code: 1 },
    ],
    [
      "overlay, no such pod, IPv6",
      "overlay",
      toOverlay(ip({ src: NODE2.pod6, dst: "fd00:10:244:1::200" }, dns())),
      { drop: "NO_ROUTE", out: "tunnel node-2", type: 1, code: 3 },
    ],
    [
      "overlay is no way to the world",
      "overlay",
      toOverlay(ip({ src: NODE2.pod4, dst: WORLD.v4 }, dns())),
      { drop: "NO_ROUTE", out: "tunnel node-2", type: 3, code: 0 },
    ],
    [
      "overlay, TTL 1",
      "overlay",
      toOverlay(ip({ src: NODE2.pod4, dst: B4, ttl: 1 }, dns())),
      { drop: "TTL", out: "tunnel node-2", type: 11, code: 0 },
    ],
  ];

  test.each(rows)("%s", (_, port, frame, want) => {
    const outcome = bench.run(port, frame);
    expect(outcome).toMatchObject({ drops: [want.drop], out: want.out });
    expect(faults(outcome.frame)).toEqual([]);
    const sent = parse(frame);
    const answer = parse(outcome.frame);
    const error = icmpError(outcome.frame);
    expect(error).toMatchObject({ type: want.type, code: want.code, mtu: want.mtu ?? 0, dst: sent.ip?.src });
    expect(error.src).toBe(sent.type === ETH.ip4 ? GW4 : GW6);
    expect([answer.src, answer.dst]).toEqual([MACS.router, sent.src]);
    const most = sent.type === ETH.ip4 ? 548 : 1232;
    expect(error.quote.toString("hex")).toBe(sent.payload.subarray(0, most).toString("hex"));
  });

  test("a GSO packet is answered by one error, which is not GSO", () => {
    const frame = fromA(ip4({ src: A4, dst: B4, df: true }, tcp({ sport: 1, dport: 2 }, bytes(3000))));
    const outcome = bench.run(A.device, frame, { gsoSize: 1460, gsoSegs: 3 });
    expect(outcome).toMatchObject({ drops: ["TOO_BIG"], out: back });
    expect(icmpError(outcome.frame)).toMatchObject({ type: 3, code: 4, mtu: 1450, length: 576 });
    expect(faults(outcome.frame)).toEqual([]);
  });
});

test("an ICMP error that replaces a packet on egress is sent: only the packet is counted as dropped", () => {
  const REDIRECT = 7;
  const LOOPBACK = 1; // any existing device
  const world = new Bench((name) => (name === "aside" ? LOOPBACK : 2000));
  try {
    const aside: Port = {
      ...{ instance: "router", name: "aside", entry: "aside", ingress: [], egress: [] },
      peer: { kind: "port", port: `router:${A.device}` },
    };
    world.apply(cluster(), [aside]);
    const frame = fromA(ip({ src: A4, dst: B4, ttl: 1 }, dns()));
    const { retval, data, ctx } = world.panel.programs.tapEgress.testRun({ data: frame, ctx: { ifindex: LOOPBACK } });
    expect([retval, ctx.mark]).toEqual([REDIRECT, 0]);
    expect(icmpError(data)).toMatchObject({ type: 11, dst: A4 });
    expect(world.drops(A.device)).toEqual({ TTL: 1 });
  } finally {
    world.close();
  }
});

test("ICMP errors are rate-limited per port", () => {
  const counts = () => bench.drops(A.device);
  const before = counts();
  const frame = fromA(ip({ src: A4, dst: B4, ttl: 1 }, dns()));
  for (let i = 0; i < 300; i++) bench.send(A.device, frame);
  const since = (reason: string) => (counts()[reason] ?? 0) - (before[reason] ?? 0);
  expect(since("TTL") + since("ICMP_LIMIT")).toBe(300);
  expect(since("TTL")).toBeGreaterThanOrEqual(63);
  expect(since("ICMP_LIMIT")).toBeGreaterThan(0);
  // another port has its own budget
  const other = ethernet({ src: MACS.b, dst: MACS.router }, ip({ src: B4, dst: A4, ttl: 1 }, dns()));
  bench.send(B.device, other);
  expect(bench.drops(B.device)["TTL"]).toBe(1);
});
