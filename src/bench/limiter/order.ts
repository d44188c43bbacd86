import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace } from "../../kernel/index.ts";
import type { BenchContext } from "../context.ts";
import { rateText } from "../limit-case.ts";
import { type Finding, judge } from "../report.ts";
import { receive, send } from "../traffic/traffic.ts";
import { type Bed, type Direction, MTU, type Where } from "./bed.ts";
import { runCases } from "./cases.ts";
import { udpRate } from "./fair.ts";

/** One socket's datagrams through a limit. */
export interface OrderCase {
  rate: number;
  direction: Direction;
  where: Where;
  /** Payload sizes, in turn. Payloads larger than the MTU are sent in fragments. */
  sizes: readonly number[];
  /** Offered rate, as a multiple of the limit. */
  times: number;
  /** Smallest allowed rate of complete datagrams, as a fraction of the limit; undefined: only the order is judged. */
  whole?: number | undefined;
}

export interface OrderResult extends OrderCase {
  name: string;
  sent: number;
  received: number;
  /** Datagrams that arrived after a later one, and the largest distance. */
  late: number;
  farthest: number;
  /** Rate of complete datagrams after the first second, as a fraction of the limit. */
  share: number;
  /** Another pod's fragmented datagrams to the same receiver. */
  others: { sent: number; received: number } | null;
}

const MIXED = { sizes: [1200, 1200, 1200, 100], times: 1.2 };
const FRAGMENTS = [
  { sizes: [1470], whole: 0.9, rates: [1e6, 10e6, 100e6] },
  { sizes: [3000], whole: 0.8, rates: [1e6, 10e6, 100e6] },
  { sizes: [60_000], whole: 0.5, rates: [10e6, 100e6] },
];

export function allOrders(): OrderCase[] {
  return (["same", "across"] as const).flatMap((where) =>
    (["ingress", "egress"] as const).flatMap((direction) => [
      ...[1e6, 10e6, 100e6].map((rate) => ({ rate, direction, where, ...MIXED })),
      ...FRAGMENTS.flatMap(({ rates, ...one }) =>
        rates.map((rate) => ({ rate, direction, where, times: 1.3, ...one })),
      ),
    ]),
  );
}

export const orderName = ({ rate, direction, where, sizes }: OrderCase): string =>
  `${rateText(rate)} ${direction} ${where} ${sizes.join(",")}`;

/** Order of datagrams of mixed sizes, and the share of fragmented ones that arrives. */
export function order(context: BenchContext): Promise<readonly Finding[]> {
  const cases = {
    name: "order",
    title: "Order and fragments under a limit",
    cases: allOrders(),
    few: 6,
    nameOf: orderName,
    run: (bed: Bed, one: OrderCase) => runOrder(bed, one, context.quick ? 5 : 10),
    judge: judgeOrder,
  };
  return runCases(cases, context);
}

const PORT = 9000;
/** Time for queued datagrams to arrive after the sender has ended, ms. */
const DRAIN = 1000;
/** The other pod's datagrams: payload, rate in bit/s, and their flow's number. */
const OTHERS = { sizes: [3000], rate: 1e6, flow: 1 };
const BUFFER = 4 << 20;

async function runOrder(bed: Bed, one: OrderCase, seconds: number): Promise<OrderResult> {
  const { rate, direction, where, sizes, times, whole } = one;
  await bed.set(direction, rate);
  const { from, to, address } = bed.path(direction, where);
  await withoutFragments(to);
  const sink = await receive(to, { port: PORT, mtu: MTU });
  const common = { address, port: PORT, mtu: MTU, seconds };
  const source = await send(from, { ...common, sizes, rate: times * rate, buffer: BUFFER });
  // in the ingress direction both share the pod's limit
  const beside = whole !== undefined && direction === "egress";
  const { flow, ...load } = OTHERS;
  const other = beside ? await send(bed.netns("other"), { ...common, ...load, firstFlow: flow }) : undefined;
  const [sent, others] = await Promise.all([source.ended, other?.ended]);
  await sleep(DRAIN);
  const received = await sink.stop();
  const own = received.flows["0"] ?? { packets: 0, bytes: 0, late: 0, farthest: 0 };
  const ownShare = received.bytes > 0 ? own.bytes / received.bytes : 0;
  const result = {
    ...one,
    name: orderName(one),
    sent: sent.packets,
    received: own.packets,
    late: own.late,
    farthest: own.farthest,
    share: (udpRate(received, 1, seconds) * ownShare) / rate,
    others: others ? { sent: others.packets, received: received.flows[String(flow)]?.packets ?? 0 } : null,
  };
  if (own.packets === 0) await bed.renew();
  return result;
}

const PATIENCE = 40_000;

/** Waits until a namespace holds no fragments of earlier datagrams: the kernel keeps them for half a minute. */
async function withoutFragments(netns: string): Promise<void> {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const text = inNamespace(netns, () => readFileSync("/proc/thread-self/net/sockstat", "utf8"));
    if (/^FRAG: inuse 0 /m.test(text)) return;
    if (Date.now() > end) throw new Error(`wait until ${netns} holds no fragments: not after ${PATIENCE / 1000} s`);
    await sleep(200);
  }
}

export function judgeOrder(result: OrderResult): Finding[] {
  const { name, received, late, farthest, share, whole, others } = result;
  const far = late > 0 ? `, by ${farthest} at most` : "";
  const inOrder = judge(`${name} late`, `${late} of ${received}${far}`, "none", late === 0 && received > 0);
  if (whole === undefined) return [inOrder];
  const percent = `${(100 * share).toFixed(1)} % of the limit`;
  const findings = [inOrder, judge(`${name} whole`, percent, `≥ ${100 * whole} %`, share >= whole)];
  if (!others) return findings;
  const lost = others.sent - others.received;
  return [...findings, judge(`${name} another pod's`, `${lost} of ${others.sent} lost`, "none", lost === 0)];
}
