import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Counters, counters, since } from "./counters.ts";
import { type Flow, flow } from "./iperf.ts";
import { type PodSpec, trafficCommands } from "./pods.ts";
import type { Stage } from "./stage.ts";

/** Pods of a load that crosses the nodes both ways, and within one. UDP and TCP have ends of their own, so that counters tell them apart. */
export const LOAD_PODS: readonly PodSpec[] = [
  { name: "udp-from", node: "node-1", commands: trafficCommands(1) },
  { name: "udp-to", node: "node-2", commands: trafficCommands(1) },
  { name: "tcp-from", node: "node-2", commands: trafficCommands(1) },
  { name: "tcp-to", node: "node-1", commands: trafficCommands(1) },
];

export interface Load {
  seconds: number;
  /** Packets a second of 64 bytes of payload. */
  packets: number;
  /** TCP, bit/s. */
  rate: number;
}

/** What one load went through. */
export interface Round {
  /** Datagrams sent and arrived, as the pods' kernels counted them. */
  udpSent: number;
  udpArrived: number;
  tcpBytes: number;
  /** Segments sent again. A busy machine makes TCP impatient, so some of them were never lost. */
  tcpRetransmitted: number;
  /** Segments that arrived with one before them missing: lost, or overtaken where the sender changed CPUs. */
  tcpGaps: number;
  /** Bytes that the sender's IP sent and the receiver's did not get; null where a tunnel merges packets on the way. */
  tcpOctetsLost: number | null;
  /** Connections reset while the flows ran. */
  tcpResets: number;
  /** Packets that this machine's receive queues dropped for want of CPU, all namespaces together. */
  backlogDrops: number;
  /** What was done meanwhile. */
  done: number;
}

const PAYLOAD = 64;

/**
 * Runs a UDP and a TCP flow for `seconds`, and calls `act` again and again meanwhile: the flows begin before the first
 * call and go on after the last. Throws if a flow breaks.
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
  // The slowest action seen so far must fit, or it would outlive the flows.
  for (let slowest = 500; !ended && performance.now() + 1.5 * slowest + 1500 < end; done++) {
    const begin = performance.now();
    await act();
    slowest = Math.max(slowest, performance.now() - begin);
    const seen = (await read()).reduce((sum, now, i) => sum + now.tcpResets - (before[i] as Counters).tcpResets, 0);
    // At its end iperf3 may itself reset a flow that it has not read to the last byte: an action may last beyond it.
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
 * What of a round was lost that no full receive queue accounts for, in words. A machine without CPU to spare drops packets
 * in its queues, and counts each: they are nobody's fault, and all others are.
 */
export function unaccounted(round: Round): string[] {
  const { udpSent, udpArrived, backlogDrops } = round;
  if (backlogDrops === 0) return losses(round);
  const excused = Math.min(backlogDrops, Math.max(0, udpSent - udpArrived));
  return losses({ ...round, udpArrived: udpArrived + excused, tcpOctetsLost: null, backlogDrops: 0 });
}

/** What of a round was lost, in words; empty if nothing was. */
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
