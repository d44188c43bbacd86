import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  arp,
  echo,
  ethernet,
  fragmentHeader,
  icmp,
  icmp6,
  ip,
  ip4,
  ip6,
  raw,
  solicitation,
  udp,
} from "../../../test/packets.ts";
import { Bench } from "./testing/bench.ts";
import { cluster } from "./testing/fixture.ts";
import {
  A,
  A4,
  A6,
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

/** Each packet is dropped without an answer. */
describe("drops", () => {
  const cut = (frame: Buffer, length: number) => frame.subarray(0, length);
  const dead = { ttl: 1 };
  const vxlan = udp({ sport: 40000, dport: 4789 }, bytes(64));
  const bigVxlan = udp({ sport: 40000, dport: 4789 }, bytes(2000));
  const icmpIn = (type: number, code = 0) => icmp({ type, code }, bytes(36));
  const gatewayArp = (fields: object) =>
    arp({ op: 1, senderMac: MACS.a, sender: A4, target: GW4, ...fields } as Parameters<typeof arp>[0]);
  const rows: [string, string, Buffer, string][] = [
    // source addresses
    ["another pod's address", A.device, fromA(ip({ src: B4, dst: B4 }, dns())), "SPOOFED"],
    ["another pod's address, IPv6", A.device, fromA(ip({ src: B6, dst: B6 }, dns())), "SPOOFED"],
    ["a foreign address", A.device, fromA(ip({ src: WORLD.v4, dst: B4 }, dns())), "SPOOFED"],
    ["a foreign address, IPv6", A.device, fromA(ip({ src: WORLD.v6, dst: B6 }, dns())), "SPOOFED"],
    ["the gateway's address", A.device, fromA(ip({ src: GW4, dst: B4 }, dns())), "SPOOFED"],
    ["the node's address", A.device, fromA(ip({ src: NODE1.own4, dst: B4 }, dns())), "SPOOFED"],
    ["another node's pod's address", A.device, fromA(ip({ src: NODE2.pod4, dst: B4 }, dns())), "SPOOFED"],
    ["no address", A.device, fromA(ip({ src: "0.0.0.0", dst: B4 }, dns())), "SPOOFED"],
    ["no address, IPv6", A.device, fromA(ip({ src: "::", dst: B6 }, dns())), "SPOOFED"],
    ["loopback", A.device, fromA(ip({ src: "127.0.0.1", dst: B4 }, dns())), "SPOOFED"],
    ["spoofed with TTL 1 gets no answer", A.device, fromA(ip({ src: WORLD.v4, dst: B4, ...dead }, dns())), "SPOOFED"],
    ["spoofed ping of the gateway", A.device, fromA(ip({ src: B4, dst: GW4 }, echo(4))), "SPOOFED"],
    // destination addresses
    ["multicast", A.device, fromA(ip({ src: A4, dst: "224.0.0.251" }, dns()), "01:00:5e:00:00:fb"), "MULTICAST"],
    ["multicast, IPv6", A.device, fromA(ip({ src: A6, dst: "ff02::fb" }, dns()), "33:33:00:00:00:fb"), "MULTICAST"],
    ["broadcast", A.device, fromA(ip({ src: A4, dst: "255.255.255.255" }, dns()), "ff:ff:ff:ff:ff:ff"), "MULTICAST"],
    [
      "unicast in a broadcast frame",
      A.device,
      fromA(ip({ src: A4, dst: B4 }, dns()), "ff:ff:ff:ff:ff:ff"),
      "MULTICAST",
    ],
    [
      "router solicitation",
      A.device,
      fromA(ip6({ src: "fe80::2", dst: "ff02::2", hopLimit: 255 }, icmp6({ type: 133 }))),
      "MULTICAST",
    ],
    [
      "MLD report",
      A.device,
      fromA(ip6({ src: "fe80::2", dst: "ff02::16", hopLimit: 1, extensions: [hopByHop] }, icmp6({ type: 143 }))),
      "MULTICAST",
    ],
    ["link-local", A.device, fromA(ip({ src: A4, dst: "169.254.1.1" }, dns())), "LINK_LOCAL"],
    ["link-local, IPv6", A.device, fromA(ip({ src: A6, dst: "fe80::5" }, dns())), "LINK_LOCAL"],
    ["from link-local to a pod", A.device, fromA(ip({ src: "fe80::2", dst: B6 }, dns())), "LINK_LOCAL"],
    ["to loopback", A.device, fromA(ip({ src: A4, dst: "127.0.0.1" }, dns())), "NO_ROUTE"],
    ["to ::1", A.device, fromA(ip({ src: A6, dst: "::1" }, dns())), "NO_ROUTE"],
    // the nodes' tunnel port, on every path
    ["the node's tunnel port", A.device, fromA(ip({ src: A4, dst: NODE1.own4 }, vxlan)), "TUNNEL"],
    ["the node's tunnel port, IPv6", A.device, fromA(ip({ src: A6, dst: NODE1.own6 }, vxlan)), "TUNNEL"],
    ["another node's tunnel port", A.device, fromA(ip({ src: A4, dst: NODE2.own4 }, vxlan)), "TUNNEL"],
    ["another node's tunnel port, IPv6", A.device, fromA(ip({ src: A6, dst: NODE2.own6 }, vxlan)), "TUNNEL"],
    ["a tunnel port by the node's routes", A.device, fromA(ip({ src: A4, dst: WORLD.v4 }, vxlan)), "TUNNEL"],
    ["a tunnel port behind options", A.device, fromA(ip4({ src: A4, dst: NODE1.own4, options }, vxlan)), "TUNNEL"],
    [
      "a tunnel port in a first fragment",
      A.device,
      fromA(ip4({ src: A4, dst: NODE1.own4, mf: true }, vxlan)),
      "TUNNEL",
    ],
    ["a tunnel port too large for the way", A.device, fromA(ip4({ src: A4, dst: NODE2.own4 }, bigVxlan)), "TUNNEL"],
    [
      "a tunnel port behind extension headers",
      A.device,
      fromA(ip6({ src: A6, dst: NODE1.own6, extensions: [hopByHop, destinationOptions] }, vxlan)),
      "TUNNEL",
    ],
    [
      "a tunnel port in a first fragment, IPv6",
      A.device,
      fromA(ip6({ src: A6, dst: NODE1.own6, extensions: [fragmentHeader(0, true)] }, vxlan)),
      "TUNNEL",
    ],
    [
      "UDP to a node behind more extension headers than we walk",
      A.device,
      fromA(ip6({ src: A6, dst: NODE1.own6, extensions: Array.from({ length: 8 }, () => destinationOptions) }, dns())),
      "MALFORMED",
    ],
    [
      "UDP to a node cut before its port",
      A.device,
      fromA(ip({ src: A4, dst: NODE1.own4 }, raw(17, bytes(3)))),
      "MALFORMED",
    ],
    // no ICMP errors about ICMP errors
    ["TTL 1: an unreachable", A.device, fromA(ip({ src: A4, dst: B4, ...dead }, icmpIn(3, 1))), "TTL"],
    ["TTL 1: a time exceeded", A.device, fromA(ip({ src: A4, dst: B4, ...dead }, icmpIn(11))), "TTL"],
    ["TTL 1: a redirect", A.device, fromA(ip({ src: A4, dst: B4, ...dead }, icmpIn(5))), "TTL"],
    ["TTL 1: ICMP cut to nothing", A.device, fromA(ip({ src: A4, dst: B4, ...dead }, raw(1, Buffer.alloc(0)))), "TTL"],
    [
      "hop limit 1: an unreachable",
      A.device,
      fromA(ip({ src: A6, dst: B6, ...dead }, icmp6({ type: 1 }, bytes(48)))),
      "TTL",
    ],
    [
      "hop limit 1: an error behind extension headers",
      A.device,
      fromA(ip6({ src: A6, dst: B6, hopLimit: 1, extensions: [hopByHop] }, icmp6({ type: 2 }, bytes(48)))),
      "TTL",
    ],
    [
      "TTL 1: a later fragment",
      A.device,
      fromA(ip4({ src: A4, dst: B4, ttl: 1, offset: 4 }, raw(17, bytes(64)))),
      "TTL",
    ],
    [
      "hop limit 1: a later fragment",
      A.device,
      fromA(ip6({ src: A6, dst: B6, hopLimit: 1, extensions: [fragmentHeader(4, true)] }, raw(17, bytes(64)))),
      "TTL",
    ],
    [
      "hop limit 1: more extension headers than we walk",
      A.device,
      fromA(
        ip6({ src: A6, dst: B6, hopLimit: 1, extensions: Array.from({ length: 8 }, () => destinationOptions) }, dns()),
      ),
      "TTL",
    ],
    ["TTL 1 from a multicast source", "host", fromHost(ip({ src: "224.0.0.1", dst: B4, ...dead }, dns())), "TTL"],
    ["TTL 1 from no source", "host", fromHost(ip({ src: "0.0.0.0", dst: B4, ...dead }, dns())), "TTL"],
    ["hop limit 1 from no source", "host", fromHost(ip({ src: "::", dst: B6, ...dead }, dns())), "TTL"],
    // malformed packets
    ["options cut", A.device, cut(fromA(ip4({ src: A4, dst: B4, options }, dns())), 38), "MALFORMED"],
    ["packet shorter than it says", A.device, cut(fromA(ip({ src: A4, dst: B4 }, dns())), 60), "MALFORMED"],
    ["packet shorter than it says, IPv6", A.device, cut(fromA(ip({ src: A6, dst: B6 }, dns())), 80), "MALFORMED"],
    ["version 5", A.device, fromA(ip4({ src: A4, dst: B4, version: 5 }, dns())), "MALFORMED"],
    ["version 4 in an IPv6 frame", A.device, fromA(ip6({ src: A6, dst: B6, version: 4 }, dns())), "MALFORMED"],
    ["header length 4", A.device, fromA(ip4({ src: A4, dst: B4, ihl: 4 }, dns())), "MALFORMED"],
    ["header length 0", A.device, fromA(ip4({ src: A4, dst: B4, ihl: 0 }, dns())), "MALFORMED"],
    [
      "header longer than the packet",
      A.device,
      fromA(ip4({ src: A4, dst: B4, ihl: 15 }, raw(17, bytes(8)))),
      "MALFORMED",
    ],
    ["total length below the header's", A.device, fromA(ip4({ src: A4, dst: B4, length: 19 }, dns())), "MALFORMED"],
    ["total length 65535", A.device, fromA(ip4({ src: A4, dst: B4, length: 65535 }, dns())), "MALFORMED"],
    ["payload length 65535", A.device, fromA(ip6({ src: A6, dst: B6, length: 65535 }, dns())), "MALFORMED"],
    ["wrong header checksum", A.device, fromA(ip4({ src: A4, dst: B4, check: 0x1234 }, dns())), "MALFORMED"],
    ["ICMPv6 without a type", A.device, fromA(ip6({ src: A6, dst: B6 }, raw(58, Buffer.alloc(0)))), "MALFORMED"],
    // neighbour discovery
    ["ARP for another pod", A.device, fromA(gatewayArp({ target: B4 })), "NEIGHBOUR"],
    ["ARP for itself", A.device, fromA(gatewayArp({ target: A4 })), "NEIGHBOUR"],
    ["an ARP reply", A.device, fromA(gatewayArp({ op: 2 })), "NEIGHBOUR"],
    ["ARP with another's address", A.device, fromA(gatewayArp({ sender: B4 })), "SPOOFED"],
    ["ARP with the gateway's address", A.device, fromA(gatewayArp({ sender: GW4 })), "SPOOFED"],
    ["ARP without a sender", A.device, fromA(gatewayArp({ sender: "0.0.0.0" })), "SPOOFED"],
    ["ARP for token ring", A.device, fromA(gatewayArp({ hardware: 4 })), "MALFORMED"],
    ["ARP cut", A.device, cut(fromA(gatewayArp({})), 41), "MALFORMED"],
    ["ARP from the overlay", "overlay", fromFar(gatewayArp({})), "NEIGHBOUR"],
    [
      "ARP from the host for the world",
      "host",
      fromHost(gatewayArp({ sender: NODE1.own4, target: WORLD.v4 })),
      "NEIGHBOUR",
    ],
    [
      "ARP from the host for itself",
      "host",
      fromHost(gatewayArp({ sender: NODE1.own4, target: NODE1.own4 })),
      "NEIGHBOUR",
    ],
    ["solicitation for another pod", A.device, fromA(solicitation({ src: A6, target: B6, mac: A.mac })), "NEIGHBOUR"],
    ["search for duplicates", A.device, fromA(solicitation({ src: "::", target: A6, mac: A.mac })), "NEIGHBOUR"],
    [
      "search for duplicates of the gateway",
      A.device,
      fromA(solicitation({ src: "::", target: GW6, mac: A.mac })),
      "NEIGHBOUR",
    ],
    [
      "solicitation with another's address",
      A.device,
      fromA(solicitation({ src: B6, target: GW6, mac: A.mac })),
      "SPOOFED",
    ],
    [
      "solicitation from beyond the link",
      A.device,
      fromA(solicitation({ src: A6, target: GW6, mac: A.mac, hopLimit: 254 })),
      "MALFORMED",
    ],
    [
      "solicitation cut",
      A.device,
      fromA(ip6({ src: A6, dst: GW6, hopLimit: 255 }, icmp6({ type: 135 }, bytes(8)))),
      "MALFORMED",
    ],
    [
      "neighbour advertisement",
      A.device,
      fromA(ip6({ src: A6, dst: B6, hopLimit: 255 }, icmp6({ type: 136 }, bytes(16)))),
      "NEIGHBOUR",
    ],
    [
      "router advertisement to a pod",
      A.device,
      fromA(ip6({ src: A6, dst: B6, hopLimit: 255 }, icmp6({ type: 134 }, bytes(8)))),
      "NEIGHBOUR",
    ],
    [
      "redirect to a pod",
      A.device,
      fromA(ip6({ src: A6, dst: B6, hopLimit: 255 }, icmp6({ type: 137 }, bytes(32)))),
      "NEIGHBOUR",
    ],
    // others
    [
      "LLDP",
      A.device,
      ethernet({ src: MACS.a, dst: "01:80:c2:00:00:0e" }, { type: 0x88cc, bytes: bytes(30) }),
      "PROTOCOL",
    ],
    [
      "a VLAN tag",
      A.device,
      ethernet(
        { src: MACS.a, dst: MACS.router },
        { type: 0x8100, bytes: Buffer.concat([Buffer.from([0, 5, 8, 0]), ip({ src: A4, dst: B4 }, dns()).bytes]) },
      ),
      "PROTOCOL",
    ],
    ["a fragmented ping of the gateway", A.device, fromA(ip4({ src: A4, dst: GW4, mf: true }, echo(4))), "PROTOCOL"],
    ["an echo reply to the gateway", A.device, fromA(ip({ src: A4, dst: GW4 }, icmp({ type: 0 }))), "PROTOCOL"],
    [
      "an unreachable to the gateway",
      A.device,
      fromA(ip({ src: A6, dst: GW6 }, icmp6({ type: 1 }, bytes(48)))),
      "PROTOCOL",
    ],
    ["SCTP to the gateway", A.device, fromA(ip({ src: A4, dst: GW4 }, raw(132, bytes(32)))), "PROTOCOL"],
    [
      "overlay: no way back to the sender",
      "overlay",
      fromFar(ip({ src: "10.244.1.99", dst: B4, ...dead }, dns())),
      "TTL+NO_ROUTE",
    ],
  ];

  test.each(rows)("%s", (_, port, frame, reasons) => {
    expect(bench.run(port, frame)).toMatchObject({ drops: reasons.split("+"), out: undefined });
  });
});
