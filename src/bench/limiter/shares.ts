import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace, writeSysctl } from "../../kernel/index.ts";
import type { BenchContext } from "../context.ts";
import { parseSnmp } from "../counters.ts";
import type { Finding } from "../report.ts";
import type { Received } from "../traffic/receive.ts";
import { receive, send } from "../traffic/traffic.ts";
import { type Bed, MTU } from "./bed.ts";
import { runCases } from "./cases.ts";
import { judgeShare, type ShareCase, type ShareResult, shareName, tcpRates, udpRate } from "./fair.ts";
import { TcpLoad, type TcpReport } from "./tcp.ts";

const DIRECTIONS = ["ingress", "egress"] as const;
const FLOWS: readonly Pick<ShareCase, "tcp" | "udp">[] = [
  ...["cubic", "bbr"].flatMap((one) => [1, 8, 16].map((count) => ({ tcp: { [one]: count }, udp: true }))),
  ...["cubic", "bbr"].flatMap((one) => [8, 16].map((count) => ({ tcp: { [one]: count }, udp: false }))),
  ...[1, 4, 8].map((count) => ({ tcp: { cubic: count, bbr: count }, udp: false })),
];

/** Cases of how flows share a limit, and of the effect of ECN. */
export function allShares(): ShareCase[] {
  const at = <K extends ShareCase["kind"]>(kind: K, rates: readonly number[], flows: typeof FLOWS): ShareCase[] =>
    rates.flatMap((rate) => DIRECTIONS.flatMap((direction) => flows.map((one) => ({ kind, rate, direction, ...one }))));
  const one = { cubic: 1 };
  return [
    ...at("fair", [2e6, 10e6, 100e6], FLOWS),
    ...at("swarm", [10e6, 100e6], [{ tcp: one, udp: true }]),
    ...at(
      "ecn",
      [10e6, 100e6],
      [
        { tcp: one, udp: false },
        { tcp: { cubic: 8 }, udp: false },
      ],
    ),
  ];
}

export function shares(context: BenchContext): Promise<readonly Finding[]> {
  const cases = {
    name: "shares",
    title: "How flows share a limit",
    cases: allShares(),
    few: 4,
    nameOf: shareName,
    run: (bed: Bed, one: ShareCase) => runShare(bed, one, context.quick ? 8 : 30),
    judge: judgeShare,
  };
  return runCases(cases, context);
}

const PORT = 9000;
/** Payload of the datagrams of all UDP flows, bytes. */
const SMALL = 160 - 28;
const LARGE = 1200 - 28;
/** Seconds that are not judged. */
const START = 2;
const SWARM = 5000;

async function runShare(bed: Bed, one: ShareCase, seconds: number): Promise<ShareResult> {
  const { kind, rate, direction } = one;
  await bed.set(direction, rate);
  const { from, to, address } = bed.path(direction, "same");
  const ends = [from, to];
  for (const netns of ends) setEcn(netns, kind === "ecn" ? 1 : 2);
  try {
    const before = { marks: marked(to), use: bed.use(direction) };
    const loads = await Promise.all(
      Object.entries(one.tcp).map(async ([congestion, flows]) => {
        const load = await TcpLoad.start({ from, to, address, congestion, flows });
        return { congestion, load };
      }),
    );
    const udp = one.udp ? await startUdp(bed, one, seconds) : undefined;
    await sleep(1000 * seconds + 500);
    const received = await udp?.();
    const reports = await Promise.all(
      loads.map(async ({ congestion, load }) => ({ congestion, report: await load.stop() })),
    );
    const dropped = bed.use(direction)?.dropped ?? null;
    return {
      ...one,
      name: shareName(one),
      flows: ratesOf(one.tcp, reports, received, seconds),
      retransmits: reports.reduce((sum, { report }) => sum + laterRetransmits(report), 0),
      marks: marked(to) - before.marks,
      dropped: dropped === null ? null : dropped - (before.use?.dropped ?? 0),
    };
  } finally {
    for (const netns of ends) setEcn(netns, 2);
  }
}

function ratesOf(
  wanted: ShareCase["tcp"],
  reports: readonly { congestion: string; report: TcpReport }[],
  received: Received | undefined,
  seconds: number,
): Record<string, number[]> {
  const tcp = reports.map(({ congestion, report }) => {
    const rates = tcpRates(report.intervals, START, seconds);
    // a flow that never connected is in no report
    return [congestion, Array.from({ length: wanted[congestion] ?? 0 }, (_, i) => rates[i] ?? 0)] as const;
  });
  return { ...Object.fromEntries(tcp), ...(received && { udp: [udpRate(received, START, seconds - 1)] }) };
}

const laterRetransmits = ({ retransmits }: TcpReport): number =>
  retransmits.filter(({ start }) => start >= START - 0.1).reduce((sum, { count }) => sum + count, 0);

/** One flow of small datagrams at 1.5 times the limit, or 5,000 flows at 3 times. Returns a function that stops it and returns what was received. */
async function startUdp(bed: Bed, one: ShareCase, seconds: number): Promise<() => Promise<Received>> {
  const { from, to, address } = bed.path(one.direction, "same");
  const sink = await receive(to, { port: PORT, mtu: MTU });
  const swarm = one.kind === "swarm";
  const load = swarm ? { sizes: [LARGE], flows: SWARM, rate: 3 * one.rate } : { sizes: [SMALL], rate: 1.5 * one.rate };
  const source = await send(from, { address, port: PORT, mtu: MTU, seconds: seconds + 1, ...load });
  return async () => {
    await source.stop();
    return sink.stop();
  };
}

/** net.ipv4.tcp_ecn. 1: connections request ECN; 2, the default: they accept it. */
function setEcn(netns: string, value: 1 | 2): void {
  writeSysctl("net/ipv4/tcp_ecn", value, netns);
}

/** Packets with an ECN mark that a namespace has received. */
function marked(netns: string): number {
  const text = inNamespace(netns, () => readFileSync("/proc/thread-self/net/netstat", "utf8"));
  return parseSnmp(text).get("IpExtInCEPkts") ?? 0;
}
