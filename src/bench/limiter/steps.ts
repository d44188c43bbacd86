import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../commands.ts";
import { rateText } from "../limit-case.ts";
import { monotonic } from "../meter.ts";
import type { Finding } from "../report.ts";
import { receive, send } from "../traffic/traffic.ts";
import { type Bed, MTU } from "./bed.ts";
import { runCases } from "./cases.ts";
import { evaluateStep, judgeStep, loadText, SPAN, type Step, type StepResult, stepName } from "./step.ts";
import { TcpLoad } from "./tcp.ts";
import { type Reading, rateIn, type Times, Watch } from "./watch.ts";

const RATES = [null, 3e6, 20e6, 37e6, 80e6, 500e6, 2000e6, 4000e6] as const;
const UDP_MOST = 500e6;
const LOADS = [
  { protocol: "tcp", congestion: "cubic", flows: 1 },
  { protocol: "tcp", congestion: "cubic", flows: 8 },
  { protocol: "tcp", congestion: "bbr", flows: 1 },
  { protocol: "tcp", congestion: "bbr", flows: 8 },
  { protocol: "udp", flows: 1 },
] as const;

/** Every ordered pair of rates under every load. */
export function allSteps(): Step[] {
  const pairs = RATES.flatMap((from) => RATES.filter((to) => to !== from).map((to) => ({ from, to })));
  const loads = (["same", "across"] as const).flatMap((where) =>
    (["ingress", "egress"] as const).flatMap((direction) =>
      (["annotation", "Limit"] as const).flatMap((how) => LOADS.map((load) => ({ where, direction, how, ...load }))),
    ),
  );
  const carried = ({ from, to, protocol }: Step): boolean =>
    protocol === "tcp" || Math.max(from ?? 0, to ?? 0) <= UDP_MOST;
  return loads.flatMap((load) => pairs.map((pair) => ({ ...pair, ...load })).filter(carried));
}

/** Limits that are changed, taken away and given under load. */
export function steps(context: BenchContext): Promise<readonly Finding[]> {
  const cases = {
    name: "steps",
    title: "Limits that change under load",
    cases: allSteps(),
    few: 8,
    nameOf: stepName,
    run: runStep,
    judge: (result: StepResult) => [judgeStep(result)],
  };
  return runCases(cases, context);
}

const PORT = 9000;
/** From a load's start to the edit, ms. */
const SETTLE = 2500;
/** A load without a limit is watched so long, ms. */
const FREE = 2000;
/** bit/s that a UDP sender offers at least, and how many times the larger rate. */
const OFFERED = { least: 60e6, times: 1.2 };

const offered = ({ from, to }: Step): number => Math.max(OFFERED.least, OFFERED.times * Math.max(from ?? 0, to ?? 0));
const loadName = (step: Step): string =>
  `${step.direction} ${step.where} ${loadText(step)} ${step.protocol === "udp" ? rateText(offered(step)) : ""}`;

async function runStep(bed: Bed, step: Step, before: readonly StepResult[]): Promise<StepResult> {
  const { direction, where, from, to, how, protocol } = step;
  // where it is what is judged, it is measured anew: a shared machine carries now more, now less
  const known = to === null ? undefined : before.find((one) => loadName(one) === loadName(step))?.unlimited;
  const unlimited = known ?? (await measureUnlimited(bed, step));
  await bed.set(direction, from, how);
  const load = await startLoad(bed, step);
  const watch = new Watch(bed, direction, bed.path(direction, where).to);
  await sleep(SETTLE);
  const edited = monotonic();
  bed.write(direction, to, how);
  await sleep(SPAN[protocol].end + 200);
  const readings = await watch.stop();
  const begin = firstArrival(readings);
  const pauses = (await load.stop()).map(({ start, end }) => ({
    start: begin + 1000 * start,
    end: begin + 1000 * end,
  }));
  const result = evaluateStep(step, { readings, edited, pauses, unlimited });
  if (readings.at(-1)?.received === readings.at(-20)?.received) await bed.renew();
  return result;
}

/** bit/s that the load reaches without a limit. */
async function measureUnlimited(bed: Bed, step: Step): Promise<number> {
  await bed.set(step.direction, null);
  const load = await startLoad(bed, step);
  await sleep(SETTLE / 2);
  const watch = new Watch(bed, step.direction, bed.path(step.direction, step.where).to);
  await sleep(FREE);
  const readings = await watch.stop();
  await load.stop();
  return rateIn(readings, "received", [{ start: 0, end: monotonic() }]) ?? 0;
}

/** Starts a load; `stop` gives BBR's pauses in seconds since its first packets. */
async function startLoad(bed: Bed, step: Step): Promise<{ stop(): Promise<readonly Times[]> }> {
  const path = bed.path(step.direction, step.where);
  if (step.protocol === "tcp") {
    const { congestion = "cubic", flows } = step;
    const load = await TcpLoad.start({ ...path, congestion, flows, interval: congestion === "bbr" ? 0.1 : 1 });
    return { stop: async () => (await load.stop()).pauses };
  }
  const sink = await receive(path.to, { port: PORT, mtu: MTU });
  const common = { address: path.address, port: PORT, mtu: MTU, sizes: [MTU - 28], seconds: 3600 };
  const source = await send(path.from, { ...common, rate: offered(step) });
  return {
    stop: async () => {
      await source.stop();
      await sink.stop();
      return [];
    },
  };
}

/** When a load's first packets had come, ms: iperf3 counts its seconds from there. */
function firstArrival(readings: readonly Reading[]): number {
  const first = readings[0];
  const begun = readings.find(({ received }) => received > (first?.received ?? 0) + 10_000);
  return begun?.time ?? first?.time ?? 0;
}
