import * as z from "zod";
import type { Span } from "../iperf.ts";
import { type Beside, start } from "../weir.ts";
import type { Path } from "./bed.ts";

const Sum = z.object({ start: z.number(), end: z.number(), bytes: z.number() });
const Stream = Sum.extend({ snd_cwnd: z.number().optional(), retransmits: z.number().optional() });
const Report = z.object({
  start: z.object({ tcp_mss_default: z.number().optional() }).default({}),
  intervals: z.array(z.object({ streams: z.array(Stream) })).default([]),
});

/** Payload bytes of each flow in one interval of its receiver, seconds since the start. */
export interface Interval extends Span {
  flows: number[];
}

/** Reports of a load's sender and receiver. */
export interface TcpReport {
  intervals: Interval[];
  /** Retransmitted segments by the sender's intervals. */
  retransmits: (Span & { count: number })[];
  /** Intervals at whose end a flow's window was at BBR's minimum. */
  pauses: Span[];
}

export interface TcpLoadOptions extends Path {
  congestion: string;
  flows: number;
  /** bit/s of payload of each flow; undefined: unlimited. */
  rate?: number | undefined;
  /** Seconds between readings of windows; default: 1. */
  interval?: number | undefined;
}

/** Segments of BBR's window in its ProbeRTT. */
const LEAST_WINDOW = 4;
const HOUR = "3600";
/** Time after which a stopped iperf3 is killed, since it is stuck in its own connection, ms. */
const GRACE = 2000;
let ports = 0;

/** Greedy TCP flows with a server of their own, so that a stuck flow does not block later ones. */
export class TcpLoad {
  readonly #server: Beside;
  readonly #client: Beside;

  private constructor(server: Beside, client: Beside) {
    this.#server = server;
    this.#client = client;
  }

  /** Resolves once the sender has been started. */
  static async start(options: TcpLoadOptions): Promise<TcpLoad> {
    const { from, to, address, congestion, flows, rate, interval = 1 } = options;
    const port = String(20_000 + (ports++ % 10_000));
    const inside = (netns: string, args: string[], onLine?: (line: string) => void): Beside =>
      start(["nsenter", `--net=${netns}`, "--", "iperf3", ...args, "-p", port], onLine ? { onLine } : {});
    const { promise: ready, resolve: listening } = Promise.withResolvers<void>();
    const server = inside(
      to,
      ["-s", "-1", "-i", "1", "--forceflush"],
      (line) => line.includes("listening") && listening(),
    );
    const died = server.ended.then(({ stderr }) => Promise.reject(new Error(`start iperf3 in ${to}: ${stderr}`)));
    died.catch(() => {});
    await Promise.race([ready, died]);
    const args = ["-c", address, "-t", HOUR, "-J", "-C", congestion, "-P", String(flows), "-i", String(interval)];
    if (rate !== undefined) args.push("-b", String(Math.round(rate)));
    return new TcpLoad(server, inside(from, args));
  }

  /** Stops it and returns the reports of both ends, also if it got stuck. */
  async stop(): Promise<TcpReport> {
    const [client, server] = [await ended(this.#client), await ended(this.#server)];
    return { ...parseSender(client), intervals: parseServer(server) };
  }
}

async function ended(beside: Beside): Promise<string> {
  const timer = setTimeout(() => beside.child.kill("SIGKILL"), GRACE);
  const { stdout } = await beside.stop();
  clearTimeout(timer);
  return stdout;
}

/** The sender's report, from `iperf3 -J`; empty if it was killed before. */
export function parseSender(text: string): Omit<TcpReport, "intervals"> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { retransmits: [], pauses: [] };
  }
  const report = Report.parse(json);
  const least = LEAST_WINDOW * (report.start.tcp_mss_default ?? 0);
  const streams = report.intervals.flatMap((one) => one.streams);
  return {
    pauses: streams.filter(({ snd_cwnd: window = Number.POSITIVE_INFINITY }) => window <= least).map(spanOf),
    retransmits: report.intervals.map(({ streams: all }) => ({
      ...spanOf(all[0] ?? { start: 0, end: 0 }),
      count: all.reduce((sum, { retransmits = 0 }) => sum + retransmits, 0),
    })),
  };
}

const spanOf = ({ start: begin, end }: Span): Span => ({ start: begin, end });
const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/**
 * The receiver's report, from `iperf3 -s` without -J, which writes each interval at once, also if the sender gets stuck. The last
 * interval is written twice if the sender is stopped.
 */
export function parseServer(text: string): Interval[] {
  const line = /^\[\s*(\d+)\]\s+([\d.]+)-([\d.]+)\s+sec\s+([\d.]+)\s+([KMGT]?)Bytes\s+[\d.]+ \S*bits\/sec\s*$/gm;
  const intervals = new Map<string, Span & { flows: Map<string, number> }>();
  for (const [, id = "", begin = "", end = "", amount, unit = ""] of text.matchAll(line)) {
    const key = `${begin}-${end}`;
    const found = intervals.get(key) ?? { start: Number(begin), end: Number(end), flows: new Map() };
    intervals.set(key, found);
    found.flows.set(id, Number(amount) * (UNITS[unit] ?? 1));
  }
  return [...intervals.values()].map(({ flows, ...span }) => ({ ...span, flows: [...flows.values()] }));
}
