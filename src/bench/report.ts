import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TopLevelSpec } from "vega-lite";
import { type Machine, machine } from "./machine.ts";

/** One figure and its target. `shown`: there is no target, or this machine cannot decide it. */
export interface Finding {
  what: string;
  measured: string;
  target: string;
  verdict: "holds" | "misses" | "shown";
}

/** The results of one measurement. `samples` are the raw data from which the findings were computed. */
export interface Report {
  /** Name of the files, e.g. `forward`. */
  name: string;
  title: string;
  findings: readonly Finding[];
  samples: unknown;
  notes?: readonly string[] | undefined;
  /** vega-lite documents by the name of their files. */
  charts?: Readonly<Record<string, TopLevelSpec>> | undefined;
}

export interface Sink {
  /** Folder of the results; created if missing. */
  out: string;
  write(text: string): unknown;
}

/** A finding judged by a condition. */
export function judge(what: string, measured: string, target: string, holds: boolean): Finding {
  return { what, measured, target, verdict: holds ? "holds" : "misses" };
}

/** Writes `NAME.json` and the charts as SVG and PNG, and prints the table. Returns the files' paths. */
export async function publish(report: Report, sink: Sink, taken?: Machine): Promise<string[]> {
  mkdirSync(sink.out, { recursive: true });
  const { charts = {}, ...rest } = report;
  const files = [join(sink.out, `${report.name}.json`)];
  writeFileSync(files[0] as string, `${JSON.stringify({ machine: taken ?? (await machine()), ...rest }, null, 1)}\n`);
  for (const [name, spec] of Object.entries(charts)) files.push(...(await drawChart(join(sink.out, name), spec)));
  await printFindings(report, sink);
  for (const file of files) sink.write(`  ${file}\n`);
  return files;
}

async function printFindings(report: Report, sink: Sink): Promise<void> {
  const { default: Table } = await import("cli-table3");
  const table = new Table({ head: ["what", "measured", "target", "verdict"], style: { head: [], border: [] } });
  for (const { what, measured, target, verdict } of report.findings) table.push([what, measured, target, verdict]);
  sink.write(`\n${report.title}\n${table.toString()}\n`);
  for (const note of report.notes ?? []) sink.write(`  ${note}\n`);
}

/** Draws a vega-lite document to `base.svg` and `base.png`. */
export async function drawChart(base: string, spec: TopLevelSpec): Promise<string[]> {
  const [vega, vegaLite, { Resvg }] = await Promise.all([
    import("vega"),
    import("vega-lite"),
    import("@resvg/resvg-js"),
  ]);
  const font = "DejaVu Sans";
  const background = "white";
  const { spec: compiled } = vegaLite.compile({ background, ...spec, config: { font, ...spec.config } });
  const view = new vega.View(vega.parse(compiled), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  const image = new Resvg(svg, {
    fitTo: { mode: "zoom", value: 2 },
    font: { loadSystemFonts: true, defaultFontFamily: font },
  });
  writeFileSync(`${base}.svg`, svg);
  writeFileSync(`${base}.png`, image.render().asPng());
  return [`${base}.svg`, `${base}.png`];
}
