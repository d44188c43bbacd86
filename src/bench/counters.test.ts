import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromSnmp, parseSnmp, since } from "./counters.ts";

test("pairs of lines and single lines", () => {
  const text = "Udp: InDatagrams OutDatagrams\nUdp: 7 9\nTcp: RetransSegs\nTcp: 3\nUdp6InDatagrams   \t5\n";
  expect(Object.fromEntries(parseSnmp(text))).toEqual({
    UdpInDatagrams: 7,
    UdpOutDatagrams: 9,
    TcpRetransSegs: 3,
    Udp6InDatagrams: 5,
  });
});

test("the running kernel's own files have the counters that the proofs rely on", () => {
  const all = parseSnmp(["snmp", "snmp6", "netstat"].map((name) => readFileSync(`/proc/net/${name}`, "utf8")).join(""));
  const delivered = ["IpInDelivers", "Ip6InDelivers", "TcpInSegs", "IcmpInMsgs", "Icmp6InMsgs"];
  const extended = ["TcpExtTCPOFOQueue", "IpExtOutOctets", "IpExtInOctets"];
  const names = [...delivered, ...extended, "UdpOutDatagrams", "Udp6OutDatagrams", "TcpRetransSegs", "TcpEstabResets"];
  for (const name of names) expect(all.get(name), name).toBeTypeOf("number");
});

test("datagrams that no process has read count as arrived", () => {
  const text =
    "Ip: InDelivers\nIp: 100\nTcp: InSegs RetransSegs\nTcp: 10 0\nUdp: InDatagrams\nUdp: 0\nIp6InDelivers 5\nIcmp6InMsgs 2\n";
  expect(fromSnmp(text).udpArrived).toBe(93);
});

test("differences", () => {
  const before = { udpOut: 1, udpArrived: 1, tcpRetransmitted: 0, tcpResets: 2, tcpGaps: 0, octetsOut: 5, octetsIn: 7 };
  const after = { ...before, udpOut: 5, udpArrived: 4, tcpRetransmitted: 1, octetsIn: 8 };
  const none = { tcpResets: 0, tcpGaps: 0, octetsOut: 0 };
  expect(since(before, after)).toEqual({ ...none, udpOut: 4, udpArrived: 3, tcpRetransmitted: 1, octetsIn: 1 });
});
