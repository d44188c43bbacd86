import type { BenchContext } from "./context.ts";
import { LOAD_PODS, losses, type Round, underLoad } from "./continuity.ts";
import { changeTime, Meter, monotonic } from "./meter.ts";
import { type PodSpec, trafficCommands } from "./pods.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";
import { spread } from "./stats.ts";

/** The pod whose annotation is edited. */
export const EDITED: PodSpec = { name: "edited", node: "node-1", commands: trafficCommands(0) };
export const EDIT_PODS: readonly PodSpec[] = [
  ...LOAD_PODS,
  limited(160e6),
  { name: "sink", node: "node-1", commands: trafficCommands(0) },
];
const LOAD = { packets: 5000, rate: 100e6 };
const RATES = [40e6, 160e6] as const;
const PATIENCE_MS = 30_000;

/** The edited pod with its limit, bit/s. */
export function limited(rate: number): PodSpec {
  return { ...EDITED, annotations: { "kubernetes.io/egress-bandwidth": String(rate) } };
}

export interface Edit {
  how: "file" | "apply";
  rate: number;
  /** ms from the edit until the flow had the new rate; null if it never had. */
  wireMs: number | null;
  /** ms until `weir lab apply` returned. */
  returnedMs: number | null;
}

/** Edits the annotation once, in the watched folder or by `weir lab apply`, and measures the time until the flow's rate changes. */
export async function edit(stage: Stage, meter: Meter, how: Edit["how"], old: number, rate: number): Promise<Edit> {
  const begin = monotonic();
  let returnedMs: number | null = null;
  if (how === "file") stage.writePod(limited(rate));
  else {
    await stage.apply([limited(rate)]);
    returnedMs = monotonic() - begin;
  }
  const wireMs = await changeTime(meter, { begin, old, wanted: rate, patience: PATIENCE_MS });
  return { how, rate, wireMs: wireMs ?? null, returnedMs };
}

/** Edits one annotation back and forth under a flow of its pod while other pods' flows run. Returns edits and rounds. */
export async function editUnderLoad(
  stage: Stage,
  options: { edits: number; seconds: number; onRound?: (done: number, round: Round) => void },
): Promise<{ edits: Edit[]; rounds: Round[]; baseline: Round }> {
  const meter = await Meter.start(stage, EDITED.name, "sink");
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300));
  const edits: Edit[] = [];
  const rounds: Round[] = [];
  try {
    const baseline = await underLoad(stage, { ...LOAD, seconds: Math.min(options.seconds, 8) }, pause);
    while (edits.length < options.edits) {
      const round = await underLoad(stage, { ...LOAD, seconds: options.seconds }, async () => {
        if (edits.length >= options.edits) return pause();
        const turn = edits.length;
        const how = turn % 4 < 2 ? "file" : "apply";
        edits.push(await edit(stage, meter, how, RATES[(turn + 1) % 2] as number, RATES[turn % 2] as number));
        await pause();
      });
      rounds.push(round);
      options.onRound?.(edits.length, round);
    }
    return { edits, rounds, baseline };
  } finally {
    await meter.close();
  }
}

/** Time until an edited annotation takes effect on traffic, and losses of other pods' flows. */
export async function live(context: BenchContext): Promise<readonly Finding[]> {
  const wanted = context.quick ? 10 : 100;
  const stage = await Stage.up({ ...context, nodes: 2, overlay: "direct", pods: EDIT_PODS });
  try {
    const { edits, rounds, baseline } = await editUnderLoad(stage, {
      edits: wanted,
      seconds: 20,
      onRound: (done, round) =>
        context.say(`${done} of ${wanted} edits; ${losses(round).join(", ") || "nothing lost"}`),
    });
    const findings = [...judgeEdits(edits), ...judgeOthers(rounds, baseline)];
    const samples = { edits, rounds, baseline };
    await publish({ name: "live", title: "Annotations edited live", findings, samples }, context);
    return findings;
  } finally {
    await stage.down();
  }
}

function judgeEdits(edits: readonly Edit[]): Finding[] {
  const groups = (["file", "apply"] as const).map((how) => ({ how, of: edits.filter((one) => one.how === how) }));
  return [{ how: "all" as const, of: edits }, ...groups].map(({ how, of }) => {
    const { count, p50, p99, max } = spread(of.map(({ wireMs }) => wireMs ?? Number.POSITIVE_INFINITY));
    const measured = `${p50.toFixed(0)} / ${p99.toFixed(0)} / ${max.toFixed(0)} ms`;
    const what = `edit in force on the wire, p50 / p99 / highest (${how}, ${count} edits)`;
    return judge(what, measured, "p99 ≤ 1000 ms", p99 <= 1000);
  });
}

function judgeOthers(rounds: readonly Round[], baseline: Round): Finding[] {
  const total = (field: keyof Round): number => rounds.reduce((sum, round) => sum + (round[field] ?? 0), 0);
  const lost = total("udpSent") - total("udpArrived");
  const again = `${total("tcpRetransmitted")} in ${rounds.length} rounds (${baseline.tcpRetransmitted} in one without)`;
  return [
    judge("other pods' datagrams lost", `${lost} of ${total("udpSent")}`, "0", lost === 0),
    judge("other pods' bytes of TCP lost", String(total("tcpOctetsLost")), "0", total("tcpOctetsLost") === 0),
    { what: "other pods' TCP segments sent again", measured: again, target: "–", verdict: "shown" },
  ];
}
