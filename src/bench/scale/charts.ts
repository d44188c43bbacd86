import type { TopLevelSpec } from "vega-lite";
import { spread } from "../stats.ts";
import type { Sample } from "./change.ts";
import { pooled } from "./judge.ts";
import type { ChangeResult } from "./results.ts";
import type { SceneName } from "./world.ts";

/** Medians with lines up to the 99th percentile, of each kind of change; logarithmic. */
export function costChart(results: readonly ChangeResult[], scene: SceneName, of: "cpu" | "time"): TopLevelSpec {
  const steps = results.flatMap((one) => (one.scene === scene ? one.steps : []));
  const values = steps.flatMap((step) => {
    const { own, other } = pooled(step);
    const builds = [
      { build: "this build", samples: own },
      ...(other ? [{ build: "other build", samples: other }] : []),
    ];
    return builds.flatMap(({ build, samples }) => point(step.what, build, samples, of));
  });
  const title =
    of === "cpu" ? "CPU of a change, ms, median to p99" : "from the event to the last row, ms, median to p99";
  const x = { type: "quantitative" as const, scale: { type: "log" as const }, title };
  const y = { field: "what", type: "nominal" as const, title: null, sort: null, axis: { labelLimit: 300 } };
  const yOffset = { field: "build", type: "nominal" as const };
  const color = { field: "build", type: "nominal" as const, title: null };
  return {
    title: scene === "local" ? "500 pods with rules on one node" : "10,000 pods, 1,000 nodes, 64,000 routes",
    data: { values },
    width: 420,
    height: { step: 24 },
    layer: [
      { mark: "rule", encoding: { x: { ...x, field: "p50" }, x2: { field: "p99" }, y, yOffset, color } },
      { mark: { type: "point", filled: true }, encoding: { x: { ...x, field: "p50" }, y, yOffset, color } },
      { mark: { type: "tick" }, encoding: { x: { ...x, field: "p99" }, y, yOffset, color } },
    ],
  };
}

/** Lower end of the logarithmic axis, ms. */
const LEAST = 0.05;

function point(what: string, build: string, samples: readonly Sample[], of: "cpu" | "time"): object[] {
  const values = samples.flatMap((one) => one[of] ?? []);
  if (values.length === 0) return [];
  const { p50, p99 } = spread(values);
  return [{ what, build, p50: Math.max(LEAST, p50), p99: Math.max(LEAST, p99) }];
}
