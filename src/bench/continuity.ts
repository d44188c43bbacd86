import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Counters, counters, since } from "./counters.ts";
import { type Flow, flow } from "./iperf.ts";
import { type PodSpec, trafficCommands } from "./pods.ts";
import type { Stage } from "./stage.ts";

/** Pods of a load between nodes in both directions, and within a node. UDP and TCP use different pods, so that their counters are separate. */
export const LOAD_PODS: readonly PodSpec[] = [
  { name: "udp-from", node: "node-1", commands: trafficCommands(1) },
  { name: "udp-to", node: "node-2", commands: trafficCommands(1) },
  { name: "tcp-from", node: "node-2", commands: trafficCommands(1) },
  { name: "tcp-to", node: "node-1", commands: trafficCommands(1) },
];

export interface Load {
  seconds: number;
  /** Packets per second, each with 64 bytes of payload. */
  packets: number;
  /** TCP, bit/s. */
  rate: number;
}

/** Counters of one load. */
export interface Round {
  /** Datagrams sent and arrived, as the pods' kernels counted them. */
  udpSent: number;
  udpArrived: number;
  tcpBytes: number;
  /** Retransmitted segments. On a busy machine some are retransmitted by timeout although they were not lost. */
  tcpRetransmitted: number;
  /** Segments that arrived out of order: an earlier one was lost, or overtaken after the sender changed CPUs. */
  tcpGaps: number;
  /** Bytes that the sender's IP sent and the receiver's did not receive; null if a tunnel merges packets. */
  tcpOctetsLost: number | null;
  /** Connections reset during the flows. */
  tcpResets: number;
  /** Packets that this machine's receive queues dropped because of missing CPU time, in all namespaces. */
  backlogDrops: number;
  /** Number of calls of `act`. */
  done: number;
}

const PAYLOAD = 64;

/**
 * Runs a UDP and a TCP flow for `seconds`, and meanwhile calls `act` repeatedly: the flows begin before the first
 * call and end after the last. Throws if a flow breaks.
 */
export async function underLoad(stage: Stage, load: Load, act: () => Promise<unknown>): Promise<Round> {
  const names = ["udp-from", "udp-to", "tcp-from", "tcp-to"];
  const read = (): Promise<Counters[]> => Promise.all(names.map((name) => counters(stage, name)));
  const before = await read();
  const backlog = softnetDrops();
  const flows = startFlows(stage, load);
  let ended = false;
  const settle = flows.finally(() => {
    ended = true;
  });
  settle.catch(() => {});
  const end = performance.now() + 1000 * load.seconds;
  await sleep(1500);
  let done = 0;
  let resets = 0;
  // An action as long as the slowest so far must still end before the flows.
  for (let slowest = 500; !ended && performance.now() + 1.5 * slowest + 1500 < end; done++) {
    const begin = performance.now();
    await act();
    slowest = Math.max(slowest, performance.now() - begin);
    const seen = (await read()).reduce((sum, now, i) => sum + now.tcpResets - (before[i] as Counters).tcpResets, 0);
    // iperf3 may itself reset a flow at its end if it has not read all bytes: resets after the end do not count.
    if (!ended && performance.now() < end) resets = seen;
  }
  const [, tcp] = await settle;
  await sleep(200);
  const after = await read();
  const [udpFrom, udpTo, tcpFrom, tcpTo] = after.map((now, i) => since(before[i] as Counters, now)) as [
    Counters,
    Counters,
    Counters,
    Counters,
  ];
  return {
    udpSent: udpFrom.udpOut,
    udpArrived: udpTo.udpArrived,
    tcpBytes: tcp.intervals.reduce((sum, { bytes }) => sum + bytes, 0),
    tcpRetransmitted: tcpFrom.tcpRetransmitted,
    tcpGaps: tcpTo.tcpGaps,
    tcpOctetsLost: stage.overlay === "direct" ? tcpFrom.octetsOut - tcpTo.octetsIn : null,
    tcpResets: resets,
    backlogDrops: softnetDrops() - backlog,
    done,
  };
}

function startFlows(stage: Stage, { seconds, packets, rate }: Load): Promise<[Flow, Flow]> {
  const udp = {
    from: "udp-from",
    to: "udp-to",
    protocol: "udp",
    rate: packets * PAYLOAD * 8,
    length: PAYLOAD,
  } as const;
  const tcp = { from: "tcp-from", to: "tcp-to", rate } as const;
  return Promise.all([flow(stage, { ...udp, seconds }), flow(stage, { ...tcp, seconds })]);
}

/** Sum of the second column of /proc/net/softnet_stat: packets dropped because a CPU's backlog was full. */
export function softnetDrops(text = readFileSync("/proc/net/softnet_stat", "utf8")): number {
  const drops = text.split("\n").map((line) => Number.parseInt(line.split(" ")[1] ?? "0", 16));
  return drops.reduce((sum, value) => sum + (value || 0), 0);
}

/**
 * Losses of a round, as text, that full receive queues do not explain. A machine without spare CPU time drops packets
 * in its queues and counts each; any other loss is a fault.
 */
export function unaccounted(round: Round): string[] {
  const { udpSent, udpArrived, backlogDrops } = round;
  if (backlogDrops === 0) return losses(round);
  const excused = Math.min(backlogDrops, Math.max(0, udpSent - udpArrived));
  return losses({ ...round, udpArrived: udpArrived + excused, tcpOctetsLost: null, backlogDrops: 0 });
}

/** Losses of a round, as text; empty if there were none. */
export function losses(round: Round): string[] {
  const lost = round.udpSent - round.udpArrived;
  return [
    lost === 0 ? "" : `${lost} of ${round.udpSent} datagrams lost`,
    round.tcpResets === 0 ? "" : `${round.tcpResets} connections reset`,
    round.tcpBytes > 0 ? "" : "TCP carried nothing",
    round.tcpOctetsLost ? `${round.tcpOctetsLost} bytes of TCP lost` : "",
    round.backlogDrops === 0 ? "" : `this machine's receive queues dropped ${round.backlogDrops} for want of CPU`,
  ].filter((text) => text !== "");
}
