import type { TopLevelSpec } from "vega-lite";
import { runLengths } from "../model/bursts.ts";
import type { LossSample } from "./loss-case.ts";

/** Measured shares with their 95 % intervals by the configured ones, and the line of equality. */
export function shareChart(samples: readonly LossSample[], what: "uniform" | "exponential"): TopLevelSpec {
  const values = samples
    .filter((one) => one.what === what)
    .map((one) => ({
      expected: 100 * one.expected,
      measured: (100 * one.lost) / one.sent,
      low: 100 * one.low,
      high: 100 * one.high,
      direction: one.direction,
    }));
  const x = { field: "expected", type: "quantitative" as const, title: "asked for, %" };
  return {
    title: `Loss, ${what}`,
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

/** Longest drawn burst; longer ones are too rare. */
const DRAWN = 60;

/** Share of bursts of at least each length: measured as points, by the model as lines. */
export function burstChart(samples: readonly LossSample[]): TopLevelSpec {
  const values = samples.flatMap(({ loss, setting, runs }) => {
    if (loss.model !== "burst" || !runs) return [];
    const lengths = runLengths(loss, runs.length);
    const total = sum(runs);
    return runs.slice(0, DRAWN).flatMap((_, i) => {
      const measured = sum(runs.slice(i)) / total;
      return measured > 0 ? [{ setting, length: i + 1, measured, expected: sum(lengths.slice(i)) }] : [];
    });
  });
  const x = { field: "length", type: "quantitative" as const, title: "lost in a row, at least" };
  const color = { field: "setting", type: "nominal" as const, legend: { labelLimit: 300 } };
  const scale = { type: "log" as const, domainMin: 1e-4 };
  const y = { type: "quantitative" as const, title: "part of the bursts", scale };
  return {
    title: "Loss in bursts",
    data: { values },
    width: 420,
    height: 320,
    layer: [
      { mark: { type: "line", clip: true }, encoding: { x, y: { ...y, field: "expected" }, color } },
      { mark: { type: "point", clip: true, size: 12 }, encoding: { x, y: { ...y, field: "measured" }, color } },
    ],
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);
