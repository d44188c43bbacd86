import type { Stage } from "./stage.ts";

/** A pod's own counters: datagrams, retransmitted TCP segments, reset connections. */
export interface Counters {
  udpOut: number;
  /** Datagrams that reached the pod's UDP, including those that its reader did not read. */
  udpArrived: number;
  tcpRetransmitted: number;
  tcpResets: number;
  /** TCP segments that arrived out of order. */
  tcpGaps: number;
  /** Bytes of IPv4 packets, including headers. */
  octetsOut: number;
  octetsIn: number;
}

/** Pairs of lines `Name: keys…`, `Name: values…` as in /proc/net/snmp and netstat; and lines `key value` as in snmp6. */
export function parseSnmp(text: string): Map<string, number> {
  const out = new Map<string, number>();
  let keys: string[] | undefined;
  for (const line of text.split("\n")) {
    const [head = "", ...fields] = line.trim().split(/\s+/);
    if (!head.endsWith(":")) {
      if (fields.length === 1) out.set(head, Number(fields[0]));
    } else if (keys === undefined) {
      keys = fields;
    } else {
      for (const [i, key] of keys.entries()) out.set(`${head.slice(0, -1)}${key}`, Number(fields[i]));
      keys = undefined;
    }
  }
  return out;
}

/**
 * Reads a pod's counters, the sum of both families. UDP's own counter of arrivals only counts what the reader has
 * read, so arrivals are what IP delivered minus what TCP and ICMP received.
 */
export async function counters(stage: Stage, pod: string): Promise<Counters> {
  return fromSnmp(await stage.exec(pod, ["cat", ...["snmp", "snmp6", "netstat"].map((name) => `/proc/net/${name}`)]));
}

export function fromSnmp(text: string): Counters {
  const all = parseSnmp(text);
  const sum = (...names: string[]): number => names.reduce((total, name) => total + (all.get(name) ?? 0), 0);
  return {
    udpOut: sum("UdpOutDatagrams", "Udp6OutDatagrams"),
    udpArrived: sum("IpInDelivers", "Ip6InDelivers") - sum("TcpInSegs", "IcmpInMsgs", "Icmp6InMsgs"),
    tcpRetransmitted: sum("TcpRetransSegs"),
    tcpResets: sum("TcpEstabResets"),
    tcpGaps: sum("TcpExtTCPOFOQueue"),
    octetsOut: sum("IpExtOutOctets"),
    octetsIn: sum("IpExtInOctets"),
  };
}

/** Differences between two readings. */
export function since(before: Counters, after: Counters): Counters {
  const fields = Object.keys(after) as (keyof Counters)[];
  return Object.fromEntries(fields.map((field) => [field, after[field] - before[field]])) as unknown as Counters;
}
