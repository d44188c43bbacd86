import { alternate, type Path } from "./alternate.ts";
import { Bridge } from "./bridge.ts";
import type { BenchContext } from "./context.ts";
import { costs } from "./cost.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";
import { pairedRatio, type Ratio } from "./stats.ts";

/** bit/s of two flows that took turns. */
type Pair = [a: number, b: number];

/** Of turns there are so many in each of a pair's rounds, for each path. */
const FULL = { count: 20, rounds: 6, turns: 20 };
const QUICK = { count: 3, rounds: 1, turns: 5 };

/** Same-node TCP beside a Linux bridge, Weir against itself, and the cost of a hop and of each function. */
export async function forward(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say } = context;
  const pods = ["a", "b"].map((name) => ({ name, node: "node-1" }));
  const stage = await Stage.up({ ...context, nodes: 1, overlay: "direct", pods });
  let bridge: Bridge | undefined;
  try {
    bridge = await Bridge.make(1500);
    const weir = await podPath(stage);
    const linux: Path = { from: bridge.ends[0], to: bridge.ends[1], address: bridge.addresses[1] };
    const size = quick ? QUICK : FULL;
    const against = await comparePaths(weir, linux, size, (text) => say(`Weir / bridge ${text}`));
    const same = await comparePaths(weir, weir, size, (text) => say(`Weir / Weir ${text}`));
    const cost = await costs(stage, context);
    const findings = [judgeBridge(against), judgeSame(same), ...cost.findings];
    const samples = { against, same, cost: cost.samples };
    const { notes, charts } = cost;
    await publish({ name: "forward", title: "Forwarding", findings, samples, notes, charts }, context);
    return findings;
  } finally {
    await bridge?.close();
    await stage.down();
  }
}

async function podPath(stage: Stage): Promise<Path> {
  const endpoints = await stage.get<{ name: string; netns: string }>("endpoints");
  const netns = (name: string): string => {
    const found = endpoints.find((endpoint) => endpoint.name === name);
    if (!found) throw new Error(`find namespace of pod ${name}: weir get endpoints does not list it`);
    return found.netns;
  };
  return { from: netns("a"), to: netns("b"), address: stage.ip("b", 4) };
}

async function comparePaths(
  a: Path,
  b: Path,
  { count, rounds, turns }: { count: number; rounds: number; turns: number },
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

const text = ({ mean, lower, upper }: Ratio): string =>
  `${mean.toFixed(4)} (95 % bounds ${lower.toFixed(4)}, ${upper.toFixed(4)})`;

function judgeBridge(pairs: readonly Pair[]): Finding {
  const ratio = pairedRatio(pairs);
  const what = `same-node TCP, Weir ÷ Linux bridge, ${ratio.pairs} pairs`;
  return judge(what, text(ratio), "lower bound ≥ 0.99", ratio.lower >= 0.99);
}

function judgeSame(pairs: readonly Pair[]): Finding {
  const ratio = pairedRatio(pairs);
  const within = Math.abs(ratio.mean - 1) <= 0.02;
  return judge(`same-node TCP, Weir ÷ Weir (A/A), ${ratio.pairs} pairs`, text(ratio), "within ±2 %", within);
}
