import { alternate, type Path } from "./alternate.ts";
import { Bridge } from "./bridge.ts";
import type { BenchContext } from "./context.ts";
import { type Build, costs } from "./costs.ts";
import { Packets } from "./flood.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";
import { pairedRatio, type Ratio } from "./stats.ts";

/** bit/s, or packets per second, of two paths that were measured alternately. */
type Pair = [a: number, b: number];

/** `count` pairs, each of `rounds` rounds with `turns` turns of each path. */
const FULL = { count: 20, rounds: 6, turns: 20 };
const QUICK = { count: 3, rounds: 1, turns: 5 };
/** Length of a turn, ms. */
const TURN = 20;

/**
 * Same-node TCP and packets per second compared with a Linux bridge, Weir compared with itself, and the cost of a packet,
 * also compared with another build if there is one.
 */
export async function forward(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say, against: other } = context;
  const builds: Build[] = [];
  let bridge: Bridge | undefined;
  try {
    builds.push(await startBuild(context));
    if (other !== undefined) builds.push(await startBuild({ ...context, weir: [other] }));
    bridge = await Bridge.make(1500);
    const weir = await (builds[0] as Build).stage.path("a", "b");
    const linux: Path = { from: bridge.ends[0], to: bridge.ends[1], address: bridge.addresses[1] };
    const size = quick ? QUICK : FULL;
    const wants = (part: string): boolean => (context.only ?? []).every((word) => part.includes(word));
    const packets = wants("packets") ? await comparePackets(weir, linux, size, say) : [];
    const against = wants("tcp") ? await comparePaths(weir, linux, size, (text) => say(`Weir / bridge ${text}`)) : [];
    const same = wants("same") ? await comparePaths(weir, weir, size, (text) => say(`Weir / Weir ${text}`)) : [];
    // last: it gives a pod a limit
    const cost = wants("cost") ? await costs(builds, context) : undefined;
    const findings = [
      ...(packets.length > 0 ? [judgePackets(packets)] : []),
      ...(against.length > 0 ? [judgeBridge(against)] : []),
      ...(same.length > 0 ? [judgeSame(same)] : []),
      ...(cost?.findings ?? []),
    ];
    const samples = { against, same, packets, cost: cost?.samples ?? [] };
    const { notes, charts } = cost ?? {};
    await publish({ name: "forward", title: "Forwarding", findings, samples, notes, charts }, context);
    return findings;
  } finally {
    await bridge?.close();
    for (const { stage } of builds) await stage.down();
  }
}

async function startBuild(context: BenchContext): Promise<Build> {
  const pods = ["a", "b"].map((name) => ({ name, node: "node-1" }));
  return { stage: await Stage.up({ ...context, nodes: 1, overlay: "direct", pods }), context };
}

async function comparePaths(
  a: Path,
  b: Path,
  { count, rounds, turns }: typeof FULL,
  say: (text: string) => void,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let i = 0; i < count; i++) {
    const pair = await alternate(a, b, rounds, turns);
    pairs.push(pair);
    say(`${i + 1}/${count}: ${pair.map((rate) => (rate / 1e9).toFixed(2)).join(" / ")} Gbit/s`);
  }
  return pairs;
}

/** Packets of 64 bytes per second on two paths, from one processor, in alternating turns of 20 ms. */
async function comparePackets(
  a: Path,
  b: Path,
  { count, turns }: typeof FULL,
  say: (text: string) => void,
): Promise<Pair[]> {
  const flows = [await Packets.begin(a), await Packets.begin(b)] as const;
  const pairs: Pair[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const pair: Pair = [0, 0];
      for (let turn = 0; turn < turns; turn++)
        for (const which of turn % 2 ? ([1, 0] as const) : ([0, 1] as const))
          pair[which] += (await flows[which].turn(TURN)) / turns;
      pairs.push(pair);
      say(
        `Weir / bridge ${i + 1}/${count}: ${pair.map((rate) => (rate / 1e3).toFixed(0)).join(" / ")} thousand packets/s`,
      );
    }
    return pairs;
  } finally {
    await Promise.all(flows.map((flow) => flow.end()));
  }
}

const text = ({ mean, lower, upper }: Ratio): string =>
  `${mean.toFixed(4)} (95 % bounds ${lower.toFixed(4)}, ${upper.toFixed(4)})`;

function judgePackets(pairs: readonly Pair[]): Finding {
  const ratio = pairedRatio(pairs);
  const what = `same-node packets of 64 bytes a second, Weir ÷ Linux bridge, ${ratio.pairs} pairs`;
  return judge(what, text(ratio), "lower bound ≥ 1.2", ratio.lower >= 1.2);
}

function judgeBridge(pairs: readonly Pair[]): Finding {
  const ratio = pairedRatio(pairs);
  const what = `same-node TCP, Weir ÷ Linux bridge, ${ratio.pairs} pairs`;
  return judge(what, text(ratio), "lower bound ≥ 1", ratio.lower >= 1);
}

function judgeSame(pairs: readonly Pair[]): Finding {
  const ratio = pairedRatio(pairs);
  const within = Math.abs(ratio.mean - 1) <= 0.02;
  return judge(`same-node TCP, Weir ÷ Weir (A/A), ${ratio.pairs} pairs`, text(ratio), "within ±2 %", within);
}
