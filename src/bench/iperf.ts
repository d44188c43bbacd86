import * as z from "zod";
import { IPERF_PORTS } from "./pods.ts";
import type { Stage } from "./stage.ts";
import { CommandError, type Ended } from "./weir.ts";

const Sum = z.object({ start: z.number(), end: z.number(), seconds: z.number(), bytes: z.number() });
const Side = z.object({ intervals: z.array(z.object({ sum: Sum })) });
const Stream = z.object({ start: z.number(), end: z.number(), snd_cwnd: z.number().optional() });
const Report = z.object({
  start: z.object({ tcp_mss_default: z.number().optional() }),
  intervals: z.array(z.object({ streams: z.array(Stream) })).default([]),
  server_output_json: Side,
  end: z.object({
    sum: z.object({ lost_packets: z.number(), packets: z.number() }).partial().optional(),
    sum_sent: z.object({ bytes: z.number(), retransmits: z.number().optional() }).optional(),
    cpu_utilization_percent: z.object({ host_total: z.number(), remote_total: z.number() }).optional(),
  }),
});

/** Seconds since the start. */
export interface Span {
  start: number;
  end: number;
}

/** One interval of the receiver, with its bytes of payload. */
export interface Interval extends Span {
  bytes: number;
}

/** The receiver's results. */
export interface Flow {
  intervals: Interval[];
  /** Only TCP: payload bytes of a full segment as iperf3 reports it, and retransmitted segments. */
  mss: number | undefined;
  retransmits: number | undefined;
  /** Intervals of the sender at whose end a flow's window was at BBR's minimum (ProbeRTT). */
  pauses: Span[];
  /** Only UDP. */
  packets: number | undefined;
  lost: number | undefined;
  /** Per cent of one core: sender, receiver. */
  cpu: readonly [number, number] | undefined;
}

export interface FlowOptions {
  from: string;
  to: string;
  family?: 4 | 6 | undefined;
  seconds: number;
  protocol?: "tcp" | "udp" | undefined;
  congestion?: string | undefined;
  flows?: number | undefined;
  /** Offered rate of each flow, bit/s of payload; 0 or undefined: unlimited. Required for UDP. */
  rate?: number | undefined;
  /** Bytes of one write; for UDP the payload of one packet. */
  length?: number | undefined;
  /** Seconds between the sender's readings of its windows; default: iperf3's, 1. */
  interval?: number | undefined;
  /** Index of the receiver's server: concurrent flows need different ones. */
  server?: number | undefined;
}

/** Segments of BBR's window in ProbeRTT: for 0.2 s every 10 s it measures the round trip of an empty path. */
const LEAST_WINDOW = 4;

/** Reads the client's report of `iperf3 -J --get-server-output` whose server ran with -J too. */
export function parseFlow(text: string): Flow {
  const report = Report.parse(JSON.parse(text));
  const cpu = report.end.cpu_utilization_percent;
  const mss = report.start.tcp_mss_default;
  const least = LEAST_WINDOW * (mss ?? 0);
  return {
    intervals: report.server_output_json.intervals.map(({ sum: { start, end, bytes } }) => ({ start, end, bytes })),
    mss,
    retransmits: report.end.sum_sent?.retransmits,
    pauses: report.intervals.flatMap(({ streams }) =>
      streams
        .filter(({ snd_cwnd = Number.POSITIVE_INFINITY }) => snd_cwnd <= least)
        .map(({ start, end }) => ({ start, end })),
    ),
    packets: report.end.sum?.packets,
    lost: report.end.sum?.lost_packets,
    cpu: cpu && [cpu.host_total, cpu.remote_total],
  };
}

/** The client's argument vector. */
export function iperfArgv(options: FlowOptions, address: string): string[] {
  const { seconds, protocol = "tcp", congestion, flows = 1, rate, length, interval, server = 0 } = options;
  const argv = [
    "iperf3",
    "-c",
    address,
    "-p",
    String(IPERF_PORTS[server] ?? IPERF_PORTS[0]),
    "-J",
    "--get-server-output",
  ];
  argv.push("-t", String(seconds), "-P", String(flows));
  if (protocol === "udp") argv.push("-u", "-b", String(rate ?? 0));
  else if (rate) argv.push("-b", String(rate));
  if (congestion !== undefined && protocol === "tcp") argv.push("-C", congestion);
  if (length !== undefined) argv.push("-l", String(length));
  if (interval !== undefined) argv.push("-i", String(interval));
  return argv;
}

/** Runs one measurement between two pods. The receiver must run the servers of `trafficCommands`. */
export function flow(stage: Stage, options: FlowOptions): Promise<Flow> {
  const argv = iperfArgv(options, stage.ip(options.to, options.family ?? 4));
  return untilServed(argv, () => stage.attemptExec(options.from, argv, (options.seconds + 30) * 1000));
}

const PATIENCE = 60;

/** Runs a client, again while its server is busy or not started yet. */
export async function untilServed(argv: readonly string[], client: () => Promise<Ended>): Promise<Flow> {
  for (let tries = 0; ; tries++) {
    const ended = await client();
    const error = errorOf(ended);
    if (error === undefined) return parseFlow(ended.stdout);
    const passing = /busy|Connection refused|unable to receive/.test(error);
    if (!passing || tries >= PATIENCE) throw new CommandError(argv, { ...ended, stderr: error });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The error of a client: with -J iperf3 writes it into its report and exits with code 0. */
export function errorOf({ code, stdout, stderr }: Ended): string | undefined {
  try {
    const { error } = JSON.parse(stdout) as { error?: string };
    return error ?? (code === 0 ? undefined : stderr);
  } catch {
    return `${stderr}${stdout.slice(0, 300)}`;
  }
}

/** Payload rate in bit/s over the receiver's intervals from `after` seconds on, without a last one that is not full. */
export function goodput(flow: { readonly intervals: readonly Interval[] }, after = 0): number {
  const full = flow.intervals.filter(({ start, end }) => start >= after - 0.1 && end - start > 0.5);
  const bytes = full.reduce((sum, interval) => sum + interval.bytes, 0);
  const seconds = full.reduce((sum, { start, end }) => sum + end - start, 0);
  return seconds > 0 ? (8 * bytes) / seconds : 0;
}

/** The intervals that overlap no pause. The clocks of the two ends start within 0.1 s. */
export function outside(intervals: readonly Interval[], pauses: readonly Span[]): Interval[] {
  return intervals.filter((one) => !pauses.some(({ start, end }) => start - 0.1 < one.end && end + 0.1 > one.start));
}

/** Payload rate of the first second, bit/s. */
export function firstSecond(flow: { readonly intervals: readonly Interval[] }): number {
  const [first] = flow.intervals;
  return first ? (8 * first.bytes) / (first.end - first.start) : 0;
}

/** Bytes of IP and transport headers of one packet; TCP with time stamps. */
export function headerBytes(family: 4 | 6, protocol: "tcp" | "udp"): number {
  return (family === 4 ? 20 : 40) + (protocol === "tcp" ? 32 : 8);
}

/** Layer-3 rate of full-size packets that carry `payloadRate`: rate × MTU ÷ MSS. For UDP give the packet's size as `mtu`. */
export function layer3(payloadRate: number, mtu: number, family: 4 | 6, protocol: "tcp" | "udp"): number {
  return (payloadRate * mtu) / (mtu - headerBytes(family, protocol));
}
