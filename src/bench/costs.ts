import { linearRegression } from "simple-statistics";
import type { TopLevelSpec } from "vega-lite";
import { stringify } from "yaml";
import type { BenchContext } from "./context.ts";
import { inTestRun, overTraffic, type Path, type Shape, shape, type Turn, withHops } from "./cost.ts";
import { Packets } from "./flood.ts";
import type { Hops } from "./hops.ts";
import { podObject } from "./pods.ts";
import { type Finding, judge } from "./report.ts";
import type { Stage } from "./stage.ts";
import { pairedRatio } from "./stats.ts";

/** A measured build: its lab with pods a and b on one node. The first of several builds is the one under test. */
export interface Build {
  stage: Stage;
  context: BenchContext;
}

interface Sample extends Shape, Turn {
  round: number;
  /** Index of the build. */
  build: number;
}

interface CostReport {
  findings: Finding[];
  samples: Sample[];
  notes: string[];
  charts: Record<string, TopLevelSpec>;
}

const copies = (series: Shape["series"], ...counts: number[]): Shape[] =>
  counts.map((count) => ({ series, copies: count }));
const PATHS: readonly Shape[] = [
  ...copies("nothing", 0),
  ...copies("direct", 0),
  ...copies("routed", 0),
  ...copies("hop", 0, 1, 2, 4, 8, 12, 16),
];
const LIMITED: readonly Shape[] = copies("limit", 0, 1, 2, 4);
const LIMIT = { "kubernetes.io/egress-bandwidth": "5G" };

/** Cost of a packet of 64 bytes, ns, builds alternately: of a hop, of entry and delivery, of the router, of a limit. */
export async function costs(builds: readonly Build[], { quick, say }: BenchContext): Promise<CostReport> {
  say("cost of a hop and of the router");
  const paths = await withAll(builds, (open) =>
    turns(open, PATHS, quick ? 3 : 20, async ({ build, hops, path }, of) => inTestRun(build.stage, hops, path, of)),
  );
  say("cost of a limit");
  for (const { stage } of builds)
    await stage.applyText(stringify(podObject({ name: "a", node: "node-1", annotations: LIMIT })));
  const floods = await Promise.all(builds.map(async ({ stage }) => Packets.begin(await stage.path("a", "b"))));
  try {
    const limits = await withAll(builds, (open) =>
      turns(open, LIMITED, quick ? 3 : 15, async ({ hops }, _, build) => {
        floods[build]?.go();
        const turn = await overTraffic(hops, quick ? 100 : 250);
        floods[build]?.pause();
        return turn;
      }),
    );
    return report([...paths, ...limits], builds.length > 1);
  } finally {
    await Promise.all(floods.map((flood) => flood.end()));
  }
}

function report(samples: Sample[], compared: boolean): CostReport {
  const notes = [
    "ns are of 64-byte UDP packets between two pods of a node. A limit's are of real traffic, by the kernel's run statistics, and in all by the time between two packets of one busy sender; all others in BPF_PROG_TEST_RUN with the node's own rows, which ends at the redirect.",
    "The router's cost is the difference between the path with it and one that delivers at once: a path cannot hold copies of it.",
  ];
  return { findings: findings(samples, compared), samples, notes, charts: { "forward-cost": chart(samples) } };
}

interface Open {
  build: Build;
  hops: Hops;
  path: Path;
}

/** Stops all builds' agents and opens their hops. */
function withAll<T>(
  builds: readonly Build[],
  body: (open: readonly Open[]) => Promise<T>,
  open: Open[] = [],
): Promise<T> {
  const build = builds[open.length];
  if (!build) return body(open);
  const { stage, context } = build;
  return withHops(stage, context, (hops, path) => withAll(builds, body, [...open, { build, hops, path }]));
}

/** Measures each shape in each round on each build, in an order that changes with each round. */
async function turns(
  open: readonly Open[],
  shapes: readonly Shape[],
  rounds: number,
  turn: (one: Open, of: Shape, build: number) => Promise<Turn>,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const of of shapes) {
      const order = open.map((one, build) => ({ one, build }));
      for (const { one, build } of round % 2 ? order.toReversed() : order) {
        shape(one.hops, one.path, of);
        samples.push({ ...of, ...(await turn(one, of, build)), round, build });
      }
    }
  }
  return samples;
}

/** A cost that is computed from the turns of one build in one round, ns. */
type Cost = (turns: readonly Sample[]) => number;
type Field = "bpf" | "wall";

const one =
  (series: Shape["series"]): Cost =>
  (turns) =>
    turns.find((turn) => turn.series === series)?.bpf ?? Number.NaN;
const slope =
  (series: Shape["series"], field: Field): Cost =>
  (turns) =>
    linearRegression(turns.filter((turn) => turn.series === series).map((turn) => [turn.copies, turn[field] ?? 0])).m;

interface Figure {
  what: string;
  cost: Cost;
  /** Highest allowed ratio to the other build's cost; undefined: it is only shown. */
  most?: number;
}
const FIGURES: readonly Figure[] = [
  { what: "a run that does nothing", cost: one("nothing") },
  { what: "a hop, slope over 0 to 16 copies", cost: slope("hop", "bpf"), most: 1 },
  { what: "entry and delivery", cost: one("direct"), most: 1 },
  { what: "router", cost: (turns) => one("routed")(turns) - one("direct")(turns), most: 1 },
  { what: "entry, router and delivery", cost: one("routed"), most: 0.85 },
  { what: "limit, its programs, slope over 0 to 4 copies", cost: slope("limit", "bpf"), most: 1 },
  { what: "limit in all, HTB and its device pair too", cost: slope("limit", "wall") },
];

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Figures of the build under test, compared with the other build's in the same rounds if there is one. */
export function findings(samples: readonly Sample[], compared: boolean): Finding[] {
  return FIGURES.map(({ what, cost, most }) => {
    const [own = [], other = []] = [0, 1].map((build) => byRound(samples, build).map(cost).filter(Number.isFinite));
    const ns = `${mean(own).toFixed(1)} ns`;
    if (!compared) return { what, measured: ns, target: "–", verdict: "shown" };
    const { mean: ratio, lower, upper } = pairedRatio(own.map((value, i) => [value, other[i] ?? Number.NaN]));
    const measured = `${ns} against ${mean(other).toFixed(1)}: ${ratio.toFixed(3)} (${lower.toFixed(3)} to ${upper.toFixed(3)})`;
    if (most === undefined) return { what, measured, target: "–", verdict: "shown" };
    return judge(what, measured, `upper bound ≤ ${most}`, upper <= most);
  });
}

const byRound = (samples: readonly Sample[], build: number): Sample[][] =>
  Object.values(Object.groupBy(samples, ({ round }) => round)).map((turns = []) =>
    turns.filter((turn) => turn.build === build),
  );

function chart(samples: readonly Sample[]): TopLevelSpec {
  const values = samples
    .filter(({ series }) => series === "hop" || series === "limit")
    .map((sample) => ({ ...sample, line: sample.build === 0 ? sample.series : `${sample.series}, other build` }));
  const x = { field: "copies", type: "quantitative", title: "copies in the path" } as const;
  const y = { field: "bpf", type: "quantitative", title: "ns of BPF a packet" } as const;
  const color = { field: "line", type: "nominal", title: null } as const;
  return {
    title: "Cost of a function, 64-byte packets",
    width: 480,
    height: 320,
    data: { values },
    layer: [
      { mark: { type: "point", filled: true, opacity: 0.4 }, encoding: { x, y, color } },
      {
        transform: [{ regression: "bpf", on: "copies", groupby: ["line"] }],
        mark: "line",
        encoding: { x, y, color },
      },
    ],
  };
}
