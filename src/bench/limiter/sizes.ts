import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../context.ts";
import { rateText } from "../limit-case.ts";
import { monotonic } from "../meter.ts";
import type { Finding } from "../report.ts";
import { receive, send } from "../traffic/traffic.ts";
import { type Bed, type Direction, MTU } from "./bed.ts";
import { runCases } from "./cases.ts";
import { udpRate } from "./fair.ts";
import { rateIn } from "./watch.ts";

/** UDP of packets of one size. Bytes at layer 3, rates in bit/s at layer 3. */
export interface SizeCase {
  bytes: number;
  rate: number;
  direction: Direction;
}

export interface SizeResult extends SizeCase {
  name: string;
  offered: number;
  /** Whether the sender's socket was full at times, so that it offered more than was accepted. */
  pressed: boolean;
  /** Rates from the limit's own counter, and at the receiver. */
  counted: number;
  received: number;
}

const SIZES = [64, 164, 328, 628, 1428];
const RATES = [10e6, 100e6];

export function allSizes(): SizeCase[] {
  return RATES.flatMap((rate) =>
    (["ingress", "egress"] as const).flatMap((direction) => SIZES.map((bytes) => ({ bytes, rate, direction }))),
  );
}

export const sizeName = ({ bytes, rate, direction }: SizeCase): string => `${rateText(rate)} ${direction} ${bytes}`;

/** Exactness of a limit at layer 3 for packets of every size. */
export function sizes(context: BenchContext): Promise<readonly Finding[]> {
  const cases = {
    name: "sizes",
    title: "Limits of packets of every size",
    cases: allSizes(),
    few: 5,
    nameOf: sizeName,
    run: (bed: Bed, one: SizeCase) => runSize(bed, one, context.quick ? 5 : 10),
    judge: (result: SizeResult) => [judgeSize(result)],
    notes: ["Layer 3 after the first two seconds, by the limit's own counter and at the receiver."],
  };
  return runCases(cases, context);
}

const PORT = 9000;
const HEADERS = 28;
const TIMES = 1.3;
/** s that are not judged. */
const START = 2;

async function runSize(bed: Bed, one: SizeCase, seconds: number): Promise<SizeResult> {
  const { bytes, rate, direction } = one;
  await bed.set(direction, rate);
  const { from, to, address } = bed.path(direction, "same");
  const sink = await receive(to, { port: PORT, mtu: MTU });
  const common = { address, port: PORT, mtu: MTU, seconds: seconds + 0.5 };
  const source = await send(from, { ...common, sizes: [bytes - HEADERS], rate: TIMES * rate });
  const begin = monotonic();
  const watch = bed.watch(direction, to);
  await sleep(1000 * seconds);
  const readings = await watch.stop();
  const sent = await source.ended;
  const received = await sink.stop();
  const span = { start: begin + 1000 * START, end: begin + 1000 * seconds };
  return {
    ...one,
    name: sizeName(one),
    offered: (8e6 * sent.bytes) / (sent.end - sent.start),
    pressed: sent.refused > 0,
    counted: rateIn(readings, "limit", [span]) ?? 0,
    received: udpRate(received, START, seconds),
  };
}

const TOLERANCE = 0.01;
const percent = (value: number): string => `${value >= 0 ? "+" : ""}${(100 * value).toFixed(2)} %`;

export function judgeSize({ name: what, rate, offered, pressed, counted, received }: SizeResult): Finding {
  const errors = [counted / rate - 1, received / rate - 1];
  const measured = `${errors.map(percent).join(", received ")}`;
  const target = `±${100 * TOLERANCE} %`;
  if (errors.every((error) => Math.abs(error) <= TOLERANCE)) return { what, measured, target, verdict: "holds" };
  const reached = `; the sender reached ${rateText(offered)}`;
  if (!pressed && offered < 1.02 * rate) return { what, measured: measured + reached, target, verdict: "shown" };
  return { what, measured, target, verdict: "misses" };
}
