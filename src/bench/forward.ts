import { Bridge } from "./bridge.ts";
import type { BenchContext } from "./commands.ts";
import { costs } from "./cost.ts";
import { goodput, untilServed } from "./iperf.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";
import { pairedRatio, type Ratio } from "./stats.ts";
import { attempt, start } from "./weir.ts";

/** Where a flow runs: two network namespaces and the receiver's address. */
interface Path {
  from: string;
  to: string;
  address: string;
}

/** bit/s of pairs that were taken one right after the other, in turn in either order. */
type Pair = [a: number, b: number];

const PAIRS = 20;
const PORT = 5301;

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
    const count = quick ? 3 : PAIRS;
    const seconds = quick ? 1 : 3;
    const against = await comparePaths(weir, linux, count, seconds, (text) => say(`Weir / bridge ${text}`));
    const same = await comparePaths(weir, weir, count, seconds, (text) => say(`Weir / Weir ${text}`));
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
  count: number,
  seconds: number,
  say: (text: string) => void,
): Promise<Pair[]> {
  await throughput(a, 1);
  await throughput(b, 1);
  const pairs: Pair[] = [];
  for (let i = 0; i < count; i++) {
    const first = await throughput(i % 2 ? b : a, seconds);
    const second = await throughput(i % 2 ? a : b, seconds);
    const pair: Pair = i % 2 ? [second, first] : [first, second];
    pairs.push(pair);
    say(`${i + 1}/${count}: ${pair.map((rate) => (rate / 1e9).toFixed(2)).join(" / ")} Gbit/s`);
  }
  return pairs;
}

/** One cubic flow; bit/s of payload at the receiver. Both ends are started alike, whatever path they measure. */
async function throughput({ from, to, address }: Path, seconds: number): Promise<number> {
  const server = start(["nsenter", `--net=${to}`, "--", "iperf3", "-s", "-1", "-J", "-p", String(PORT)]);
  const options = ["-p", String(PORT), "-t", String(seconds), "-C", "cubic", "-J", "--get-server-output"];
  const client = ["nsenter", `--net=${from}`, "--", "iperf3", "-c", address, ...options];
  try {
    return goodput(await untilServed(client, () => attempt(client, { timeout: (seconds + 20) * 1000 })));
  } finally {
    await server.stop();
  }
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
