import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Burst, burstTest, meanRun, runLengths } from "../model/bursts.ts";
import { EXPONENTIAL } from "../model/impair.ts";
import { binomialInterval, binomialTest, chiSquaredTest } from "../model/statistics.ts";
import type { BenchContext } from "./context.ts";
import { type Flight, fly, MOST, PORT, runsOf, sink } from "./datagrams.ts";
import { type Case, caseName, cases, type LossSample, manifest } from "./loss-case.ts";
import { burstChart, shareChart } from "./loss-chart.ts";
import type { PodSpec } from "./pods.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";

const pod = (name: string, node: string): PodSpec => ({ name, node, commands: [sink] });
const PODS = { from: pod("from", "node-1"), near: pod("near", "node-1"), far: pod("far", "node-2") };
/** Probability that a correct build fails a test. */
const UNLIKELY = 1e-4;
/** Runs of this many lost packets or more are counted together. */
const LONGEST = 200;
const SEEDS = { first: 7, other: 8 };

/**
 * Random losses (podmgr's figures 3.8 and 3.9), bursts and seeds, configured and measured. Results are
 * appended to `loss.jsonl` one by one; a run continues where the last one ended.
 */
export async function loss(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say, out, only } = context;
  const packets = context.packets ?? (quick ? 20_000 : 100_000);
  if (packets > MOST) throw new RangeError(`measure loss: ${packets} packets a case (at most ${MOST})`);
  const name = quick ? "loss-quick" : "loss";
  mkdirSync(out, { recursive: true });
  const file = join(out, `${name}.jsonl`);
  const done = readSamples(file, packets);
  const all = cases(quick, only);
  if (all.length === 0) throw new Error(`measure loss: no case has all of ${only?.join(", ")}`);
  const missing = all.filter((one) => !done.has(caseName(one)));
  say(`${all.length} cases, ${all.length - missing.length} done before (${file})`);
  if (missing.length > 0) {
    await measureAll(context, missing, packets, (sample) => {
      done.set(sample.name, sample);
      appendFileSync(file, `${JSON.stringify(sample)}\n`);
      say(`${sample.name}: ${finding(sample).measured}`);
    });
  }
  const samples = all.flatMap((one) => done.get(caseName(one)) ?? []);
  const findings = samples.map(finding);
  const notes = [`exponential: lost with probability exp(−${EXPONENTIAL.lambda} × threshold / ${EXPONENTIAL.scale})`];
  const charts = {
    [`${name}-uniform`]: shareChart(samples, "uniform"),
    [`${name}-exponential`]: shareChart(samples, "exponential"),
    [`${name}-bursts`]: burstChart(samples),
  };
  await publish({ name, title: "Loss asked for and measured", findings, samples, notes, charts }, context);
  return findings;
}

function readSamples(file: string, packets: number): Map<string, LossSample> {
  if (!existsSync(file)) return new Map();
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  const samples = lines.map((line) => JSON.parse(line) as LossSample);
  return new Map(samples.filter((one) => one.packets === packets).map((one) => [one.name, one]));
}

async function measureAll(
  context: BenchContext,
  missing: readonly Case[],
  packets: number,
  done: (sample: LossSample) => void,
): Promise<void> {
  const stage = await Stage.up({ ...context, nodes: 2, overlay: "direct", pods: Object.values(PODS) });
  try {
    for (const one of missing) done(await measure(stage, one, packets));
  } finally {
    await stage.down();
  }
}

/** The rule is created again for each run, so that its random sequence restarts. */
async function measure(stage: Stage, one: Case, packets: number): Promise<LossSample> {
  const flight = async (seed?: number): Promise<Flight> => {
    const rule = manifest(one, one.direction === "egress" ? PODS.from.name : PODS[one.to].name, PORT, seed);
    let there = false;
    try {
      return await fly(stage, { from: "from", to: one.to, family: one.family, count: packets }, async () => {
        if (there) await stage.deleteText(rule);
        await stage.applyText(rule);
        there = true;
      });
    } finally {
      if (there) await stage.deleteText(rule);
    }
  };
  const first = await flight(one.what === "seed" ? SEEDS.first : undefined);
  const { sent, lost, missing, backlogDrops } = first;
  const [low, high] = binomialInterval(lost, sent);
  const sample = { ...one, name: caseName(one), packets, sent, lost, low, high, backlogDrops };
  if (one.loss.model === "burst") return { ...sample, ...judgeBursts(one.loss, sent, missing) };
  const p = binomialTest(lost, sent, one.expected);
  if (one.what !== "seed") return { ...sample, p };
  const [again, other] = [await flight(SEEDS.first), await flight(SEEDS.other)];
  const same = (two: Flight): boolean => missing.join() === two.missing.join();
  const drops = backlogDrops + again.backlogDrops + other.backlogDrops;
  return { ...sample, p, repeats: same(again), differs: !same(other), backlogDrops: drops };
}

/** Tests the count and the lengths of runs, each by its exact distribution. */
export function judgeBursts(
  loss: Burst,
  sent: number,
  missing: readonly number[],
): { p: number; runs: number[]; runsP: number } {
  const runs = runsOf(missing, LONGEST);
  return {
    p: burstTest(missing.length, sent, loss),
    runs,
    runsP: chiSquaredTest(runs, runLengths(loss, LONGEST)),
  };
}

/** One finding per case: all its tests must hold, unless the machine itself dropped packets. */
export function finding(sample: LossSample): Finding {
  const { loss, expected, sent, lost, p, runs, runsP, repeats, differs, backlogDrops } = sample;
  const says = [`${percent(lost / sent)} of ${sent} (p = ${p.toPrecision(3)})`];
  const asked = [`${percent(expected)}, p > ${UNLIKELY}`];
  if (loss.model === "burst" && runs && runsP !== undefined) {
    const count = runs.reduce((sum, one) => sum + one, 0);
    says.push(`${(lost / count).toFixed(2)} in a row (lengths p = ${runsP.toPrecision(3)})`);
    asked.push(`${meanRun(loss).toFixed(2)} in a row`);
  }
  if (repeats !== undefined) {
    says.push(
      `${repeats ? "the same" : "not the same"} lost again`,
      `${differs ? "others" : "the same"} by another seed`,
    );
    asked.push("the same again, others by another seed");
  }
  const [measured, target] = [says.join(", "), asked.join(", ")];
  if (backlogDrops > 0) {
    const also = `${measured}; the machine's queues dropped ${backlogDrops}`;
    return { what: sample.name, measured: also, target, verdict: "shown" };
  }
  const holds = p > UNLIKELY && (runsP ?? 1) > UNLIKELY && repeats !== false && differs !== false;
  return judge(sample.name, measured, target, holds);
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;
