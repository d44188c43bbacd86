import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../context.ts";
import { rateText } from "../limit-case.ts";
import { monotonic } from "../meter.ts";
import type { Finding } from "../report.ts";
import type { Bed } from "./bed.ts";
import { runCases } from "./cases.ts";
import { loadText, startLoad } from "./load.ts";
import { evaluateStep, judgeStep, SPAN, type Step, type StepResult, stepName } from "./step.ts";
import { rateIn } from "./watch.ts";

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

/** Limits that are changed, removed and added under load. */
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

/** From a load's start to the edit, ms. */
const SETTLE = 2500;
/** Time for which a load without a limit is measured, ms. */
const FREE = 2000;
/** Offered rate of a UDP sender: a multiple of the larger rate, and at least so many bit/s. */
const OFFERED = { least: 60e6, times: 1.2 };

const offered = ({ from, to }: Step): number => Math.max(OFFERED.least, OFFERED.times * Math.max(from ?? 0, to ?? 0));
const loadName = (step: Step): string =>
  `${step.direction} ${step.where} ${loadText(step)} ${step.protocol === "udp" ? rateText(offered(step)) : ""}`;

async function runStep(bed: Bed, step: Step, before: readonly StepResult[]): Promise<StepResult> {
  const { direction, where, from, to, how, protocol } = step;
  // measured again if it is judged: what a shared machine can carry varies
  const known = to === null ? undefined : before.find((one) => loadName(one) === loadName(step))?.unlimited;
  const unlimited = known ?? (await measureUnlimited(bed, step));
  await bed.set(direction, from, how);
  const load = await startLoad(bed.path(direction, where), step, offered(step));
  const watch = bed.watch(direction, bed.path(direction, where).to);
  await sleep(SETTLE);
  const edited = monotonic();
  bed.write(direction, to, how);
  await sleep(SPAN[protocol].end + 200);
  const readings = await watch.stop();
  const pauses = await load.stop(readings);
  const result = evaluateStep(step, { readings, edited, pauses, unlimited });
  if (readings.at(-1)?.received === readings.at(-20)?.received) await bed.renew();
  return result;
}

/** Rate of the load without a limit, bit/s. */
async function measureUnlimited(bed: Bed, step: Step): Promise<number> {
  await bed.set(step.direction, null);
  const path = bed.path(step.direction, step.where);
  const load = await startLoad(path, step, offered(step));
  await sleep(SETTLE / 2);
  const watch = bed.watch(step.direction, path.to);
  await sleep(FREE);
  const readings = await watch.stop();
  await load.stop(readings);
  return rateIn(readings, "received", [{ start: 0, end: monotonic() }]) ?? 0;
}
