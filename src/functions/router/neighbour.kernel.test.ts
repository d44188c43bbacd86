import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arp, echo, icmp, icmp6, ip, ip6, solicitation } from "../../../test/packets.ts";
import { Bench } from "./testing/bench.ts";
import { cluster } from "./testing/fixture.ts";
import {
  A,
  A4,
  A6,
  B4,
  B6,
  DATA,
  fromA,
  fromFar,
  fromHost,
  GW4,
  GW6,
  MACS,
  NODE1,
  NODE2,
  routed,
} from "./testing/frames.ts";

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
  bench.apply(cluster());
});
afterAll(() => bench?.close());

describe("answers itself", () => {
  const back = `peer router:${A.device}`;
  test.each([
    ["the gateway", A.device, back, fromA, A4, MACS.a, GW4],
    ["a pod, asked by the host", "host", "receive router:host", fromHost, NODE1.own4, MACS.host, B4],
    [
      "another node's pod, asked by the host",
      "host",
      "receive router:host",
      fromHost,
      NODE1.own4,
      MACS.host,
      NODE2.pod4,
    ],
    [
      "no pod's address of ours, asked by the host",
      "host",
      "receive router:host",
      fromHost,
      NODE1.own4,
      MACS.host,
      "10.244.1.99",
    ],
  ] as const)("ARP for %s", (_, port, out, wrap, sender, senderMac, target) => {
    const outcome = bench.run(port, wrap(arp({ op: 1, senderMac, sender, target })));
    expect(outcome).toMatchObject({ drops: [], out });
    const reply = arp({ op: 2, senderMac: MACS.router, sender: target, targetMac: senderMac, target: sender });
    expect(outcome.frame).toEqual(routed(senderMac, reply));
  });

  const advertisement = (dst: string, target: string) =>
    ip6(
      { src: target, dst, hopLimit: 255 },
      icmp6(
        { type: 136, id: 0xe000 },
        Buffer.concat([
          solicitation({ src: A6, target, mac: A.mac }).bytes.subarray(48, 64),
          Buffer.from([2, 1, ...MACS.router.split(":").map((pair) => Number.parseInt(pair, 16))]),
        ]),
      ),
    );
  test.each([
    ["the gateway", A.device, back, fromA, A6, MACS.a, GW6],
    ["the link-local gateway", A.device, back, fromA, A6, MACS.a, "fe80::1"],
    ["the gateway from a link-local address", A.device, back, fromA, "fe80::2", MACS.a, GW6],
    ["a pod, asked by the host", "host", "receive router:host", fromHost, "fe80::77", MACS.host, B6],
    [
      "another node's pod, asked by the host",
      "host",
      "receive router:host",
      fromHost,
      NODE1.own6,
      MACS.host,
      NODE2.pod6,
    ],
  ] as const)("neighbour solicitation for %s", (_, port, out, wrap, src, mac, target) => {
    const outcome = bench.run(port, wrap(solicitation({ src, target, mac })));
    expect(outcome).toMatchObject({ drops: [], out });
    expect(outcome.frame.toString("hex")).toBe(routed(mac, advertisement(src, target)).toString("hex"));
  });

  test.each([
    ["without the link-layer option", (full: Buffer) => full.subarray(0, 78), 24],
    ["with padding", (full: Buffer) => Buffer.concat([full, Buffer.alloc(20)]), 32],
  ] as const)("neighbour solicitation %s", (_, change, length) => {
    const frame: Buffer = Buffer.from(change(fromA(solicitation({ src: A6, target: GW6, mac: A.mac }))));
    frame.writeUInt16BE(length, 18);
    expect(bench.run(A.device, frame).frame).toEqual(routed(MACS.a, advertisement(A6, GW6)));
  });

  test.each([
    ["IPv4", A.device, back, fromA, A4, GW4, MACS.a],
    ["IPv6", A.device, back, fromA, A6, GW6, MACS.a],
    ["IPv6 link-local", A.device, back, fromA, "fe80::2", "fe80::1", MACS.a],
    ["IPv4 from the host", "host", "receive router:host", fromHost, NODE1.own4, GW4, MACS.host],
    ["IPv6 from another node's pod", "overlay", "tunnel node-2", fromFar, NODE2.pod6, GW6, MACS.far],
  ] as const)("ping of the gateway: %s", (_, port, out, wrap, src, dst, mac) => {
    const family = src.includes(":") ? 6 : 4;
    const outcome = bench.run(port, wrap(ip({ src, dst, ttl: 3 }, echo(family, DATA))));
    expect(outcome).toMatchObject({ drops: [], out });
    const reply = family === 4 ? icmp({ type: 0, id: 7, seq: 1 }, DATA) : icmp6({ type: 129, id: 7, seq: 1 }, DATA);
    expect(outcome.frame).toEqual(routed(mac, ip({ src: dst, dst: src }, reply)));
  });
});
