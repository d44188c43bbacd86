import { setTimeout as sleep } from "node:timers/promises";
import type { TopLevelSpec } from "vega-lite";
import { EXPONENTIAL, type Loss, lossProbability } from "../model/impair.ts";
import { binomialInterval, binomialTest } from "../model/statistics.ts";
import type { BenchContext } from "./commands.ts";
import { softnetDrops } from "./continuity.ts";
import { counters, since } from "./counters.ts";
import type { PodSpec } from "./pods.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";

const PORT = 7009;
/** Datagrams that come to a bound port count as arrived, read or not. */
const SINK = `require("node:dgram").createSocket("udp6").bind(${PORT}, "::")`;
/** Sends COUNT datagrams to an address, some at a time: the sender's own queue must not drop any. */
const SEND = `
const [address, count] = [process.argv[1], Number(process.argv[2])];
const socket = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
let sent = 0, answered = 0;
const more = () => {
  const burst = Math.min(64, count - sent);
  for (let i = 0; i < burst; i++, sent++) socket.send(Buffer.alloc(100), ${PORT}, address, () => {
    if (++answered === count) socket.close();
    else if (answered === sent) setImmediate(more);
  });
};
more();
`;

const sink = ["node", "-e", SINK];
const pod = (name: string, node: string): PodSpec => ({ name, node, commands: [sink] });
const PODS = { from: pod("from", "node-1"), near: pod("near", "node-1"), far: pod("far", "node-2") };

const UNIFORM = [0.1, 1, 2, 5, 10, 20, 50];
const THRESHOLDS = [100, 200, 300, 400, 500];
/** A true figure fails this once in ten thousand. */
const UNLIKELY = 1e-4;

interface Case {
  /** As the annotation has it. */
  setting: string;
  model: Loss["model"];
  expected: number;
  direction: "ingress" | "egress";
  to: "near" | "far";
  family: 4 | 6;
}

/** What one case came to; counts are the pods' kernels'. */
export interface LossSample extends Case {
  sent: number;
  lost: number;
  low: number;
  high: number;
  p: number;
  /** What this machine's queues dropped meanwhile, for want of CPU. */
  backlogDrops: number;
}

/** All cases, or with `quick` one for each direction, place and family. */
export function cases(quick: boolean): Case[] {
  const losses: { setting: (direction: string) => string; loss: Loss }[] = [
    ...UNIFORM.map((percent) => ({
      setting: (direction: string) => `uniform ${direction} ${percent}%`,
      loss: { model: "uniform" as const, probability: percent / 100 },
    })),
    ...THRESHOLDS.map((threshold) => ({
      setting: (direction: string) => `exponential ${direction} ${threshold}`,
      loss: { model: "exponential" as const, threshold },
    })),
  ];
  const ways = (["egress", "ingress"] as const).flatMap((direction) =>
    (["near", "far"] as const).flatMap((to) => ([4, 6] as const).map((family) => ({ direction, to, family }))),
  );
  const all = losses.map(({ setting, loss }) =>
    ways.map((way) => ({
      setting: setting(way.direction),
      model: loss.model,
      expected: lossProbability(loss),
      ...way,
    })),
  );
  if (!quick) return all.flat();
  return ways.map((_, i) => all[Math.floor((i * all.length) / ways.length)]?.[i]).filter((one) => one !== undefined);
}

/** Losses by chance, uniform and exponential, as podmgr's figures 3.8 and 3.9 show them: asked for and measured. */
export async function loss(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say } = context;
  const packets = quick ? 20_000 : 100_000;
  const stage = await Stage.up({ ...context, nodes: 2, overlay: "direct", pods: Object.values(PODS) });
  const samples: LossSample[] = [];
  try {
    for (const one of cases(quick)) {
      const sample = await measure(stage, one, packets);
      samples.push(sample);
      say(
        `${one.setting}, ${one.to}, IPv${one.family}: ${sample.lost} of ${sample.sent} lost, p ${sample.p.toFixed(4)}`,
      );
    }
    const findings = samples.map(finding);
    const charts = { "loss-uniform": chart(samples, "uniform"), "loss-exponential": chart(samples, "exponential") };
    const notes = [`exponential: lost with probability exp(−${EXPONENTIAL.lambda} × threshold / ${EXPONENTIAL.scale})`];
    await publish({ name: "loss", title: "Loss asked for and measured", findings, samples, notes, charts }, context);
    return findings;
  } finally {
    await stage.down();
  }
}

async function measure(stage: Stage, one: Case, packets: number): Promise<LossSample> {
  const { setting, direction, to, family, expected } = one;
  const impaired = direction === "egress" ? PODS.from : PODS[to];
  await stage.apply([{ ...impaired, annotations: { "weir.dev/loss": setting } }]);
  const read = () => Promise.all([counters(stage, "from"), counters(stage, to)]);
  const [before, backlog] = [await read(), softnetDrops()];
  await stage.exec("from", ["node", "-e", SEND, stage.ip(to, family), String(packets)], 120_000);
  await sleep(200);
  const after = await read();
  const backlogDrops = softnetDrops() - backlog;
  await stage.apply([impaired]);
  const sent = since(before[0], after[0]).udpOut;
  const lost = sent - since(before[1], after[1]).udpArrived;
  const [low, high] = binomialInterval(lost, sent);
  return { ...one, sent, lost, low, high, p: binomialTest(lost, sent, expected), backlogDrops };
}

function finding({ setting, to, family, expected, sent, lost, p, backlogDrops }: LossSample): Finding {
  const what = `${setting}, ${to === "near" ? "same node" : "across"}, IPv${family}`;
  const measured = `${percent(lost / sent)} of ${sent} (p = ${p.toPrecision(3)})`;
  if (backlogDrops > 0) {
    const also = `${measured}; the machine's queues dropped ${backlogDrops}`;
    return { what, measured: also, target: percent(expected), verdict: "shown" };
  }
  return judge(what, measured, `${percent(expected)}, p > ${UNLIKELY}`, p > UNLIKELY);
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;

/** Measured shares with their 95 % intervals over those asked for, and the line on which they should lie. */
function chart(samples: readonly LossSample[], model: Loss["model"]): TopLevelSpec {
  const values = samples
    .filter((one) => one.model === model)
    .map((one) => ({
      expected: 100 * one.expected,
      measured: (100 * one.lost) / one.sent,
      low: 100 * one.low,
      high: 100 * one.high,
      direction: one.direction,
    }));
  const x = { field: "expected", type: "quantitative" as const, title: "asked for, %" };
  return {
    title: `Loss, ${model}`,
    data: { values },
    width: 420,
    height: 320,
    layer: [
      { mark: { type: "line", color: "#999" }, encoding: { x, y: { field: "expected", type: "quantitative" } } },
      {
        mark: "rule",
        encoding: { x, y: { field: "low", type: "quantitative", title: "lost, %" }, y2: { field: "high" } },
      },
      {
        mark: { type: "point", filled: true },
        encoding: {
          x,
          y: { field: "measured", type: "quantitative" },
          color: { field: "direction", type: "nominal" },
        },
      },
    ],
  };
}
