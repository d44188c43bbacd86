import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "./context.ts";
import { LoneAgent } from "./lone-agent.ts";
import type { PodSpec } from "./pods.ts";
import { readCpu, readResident } from "./process.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";
import { spread } from "./stats.ts";
import { run } from "./weir.ts";

const HELP_MS = 100;
const LAB_SECONDS = 5;
const MEMORY_MB = 120;
const IDLE_PERCENT = 0.5;

/** Edits of one pod's limit, for the CPU of a change. */
const CHANGES = 40;

/** A pod with a limit and a loss. */
const ruled = (name: string, mbps = 10): PodSpec => ({
  name,
  uid: `u-${name}`,
  node: "node-1",
  annotations: { "weir.dev/bandwidth": `${mbps} mbps egress`, "weir.dev/loss": "uniform egress 1%" },
});
const sleepers = (count: number): PodSpec[] => Array.from({ length: count }, (_, i) => ({ name: `pod-${i + 1}` }));

/**
 * Start-up times, the agent's memory with 100 pods, its CPU while nothing changes. With `pods`: memory and CPU with that many
 * pods with rules, and the cost of one change.
 */
export async function footprint(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say } = context;
  if (context.pods !== undefined) return withRules(context, context.pods);
  say("weir --help");
  const help = await timeHelp(context, quick ? 5 : 21);
  say("a lab of 2 nodes and 10 pods");
  const lab = await timeLab(context, quick ? 1 : 7);
  const pods = quick ? 10 : 100;
  say(`an agent with ${pods} pods`);
  const agent = await watchAgent(context, pods, quick ? 5 : 60);
  const helpMs = spread(help).p50;
  const labSeconds = spread(lab).p50;
  const memory = Math.max(...agent.residentMB);
  const findings = [
    judge("weir --help, median", `${helpMs.toFixed(0)} ms`, `≤ ${HELP_MS} ms`, helpMs <= HELP_MS),
    judge(
      "lab of 2 nodes and 10 pods until all are ready, median",
      `${labSeconds.toFixed(2)} s`,
      `≤ ${LAB_SECONDS} s`,
      labSeconds <= LAB_SECONDS,
    ),
    judge(
      `agent's resident memory with ${pods} pods, highest`,
      `${memory.toFixed(1)} MB`,
      `≤ ${MEMORY_MB} MB`,
      memory <= MEMORY_MB,
    ),
    judge(
      "agent's CPU while nothing changes",
      `${agent.idlePercent.toFixed(2)} % of a core`,
      `< ${IDLE_PERCENT} %`,
      agent.idlePercent < IDLE_PERCENT,
    ),
  ];
  const samples = { helpMs: help, labSeconds: lab, agent };
  await publish({ name: "footprint", title: "Footprint", findings, samples }, context);
  return findings;
}

async function withRules({ weir, quick, say, signal, ...context }: BenchContext, pods: number) {
  say(`an agent with ${pods} pods, each with a limit and a loss`);
  const all = Array.from({ length: pods }, (_, i) => ruled(`pod-${i + 1}`));
  const lone = await LoneAgent.up(weir, all, signal);
  try {
    const { pid } = await lone.client.status();
    const { residentMB, idlePercent } = await watch(pid, quick ? 5 : 60, signal);
    const before = readCpu(pid);
    for (let i = 0; i < CHANGES; i++) {
      lone.write(ruled(`pod-${1 + i}`, 20 + i));
      await sleep(quick ? 200 : 500, undefined, { signal });
      residentMB.push(readResident(pid) / 1e6);
    }
    const changeMs = (1000 * (readCpu(pid) - before)) / CHANGES;
    const limits = await lone.client.list("limits");
    const wrong = limits.filter(({ pod, effective }) => effective !== 1e6 * rateAfter(pod));
    if (limits.length !== pods || wrong.length > 0) throw new Error(`change limits: ${wrong.length} are not in force`);
    const shown = (what: string, measured: string): Finding => ({ what, measured, target: "–", verdict: "shown" });
    const findings = [
      shown("agent's resident memory, highest", `${Math.max(...residentMB).toFixed(1)} MB`),
      shown("agent's CPU while nothing changes", `${idlePercent.toFixed(2)} % of a core`),
      shown("agent's CPU of one change, from the file to the kernel", `${changeMs.toFixed(0)} ms`),
    ];
    const title = `Footprint with ${pods} pods, each with a limit and a loss`;
    const samples = { pods, residentMB, idlePercent, changeMs };
    await publish({ name: `footprint-${pods}`, title, findings, samples }, context);
    return findings;
  } finally {
    await lone.down();
  }
}

/** A pod's limit after all edits, Mbit/s. */
function rateAfter(pod: string): number {
  const number = Number(pod.replace("pod-", ""));
  return number <= CHANGES ? 19 + number : 10;
}

/** Wall time of a whole process, ms. */
async function timeHelp({ weir, env, signal }: BenchContext, runs: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const begin = performance.now();
    await run([...weir, "--help"], { env, signal });
    times.push(performance.now() - begin);
  }
  return times;
}

/** Wall time of `weir lab up`, which returns when all pods are ready, in seconds. */
async function timeLab({ weir, env, signal }: BenchContext, runs: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const stage = await Stage.up({ weir, env, signal, nodes: 2, pods: sleepers(10) });
    times.push(stage.upSeconds);
    await stage.down();
  }
  return times;
}

/** Resident memory every second, and CPU in per cent of a core, after the agent has had time to settle. */
async function watch(
  pid: number,
  seconds: number,
  signal: AbortSignal,
): Promise<{ residentMB: number[]; idlePercent: number }> {
  await sleep(3000, undefined, { signal });
  const residentMB: number[] = [];
  const before = readCpu(pid);
  const begin = performance.now();
  for (let i = 0; i < seconds; i++) {
    await sleep(1000, undefined, { signal });
    residentMB.push(readResident(pid) / 1e6);
  }
  const elapsed = (performance.now() - begin) / 1000;
  return { residentMB, idlePercent: (100 * (readCpu(pid) - before)) / elapsed };
}

async function watchAgent({ weir, env, signal }: BenchContext, pods: number, seconds: number) {
  const stage = await Stage.up({ weir, env, signal, nodes: 1, pods: sleepers(pods) });
  try {
    return await watch((await stage.nodes())[0]?.agentPid ?? 0, seconds, signal);
  } finally {
    await stage.down();
  }
}
