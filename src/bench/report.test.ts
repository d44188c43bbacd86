import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { judge, publish } from "./report.ts";

let out = "";
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), "weir-report-"));
});
afterEach(() => rmSync(out, { recursive: true, force: true }));

test("results go to JSON with raw samples and the machine, charts to SVG and PNG, the verdicts to the terminal", async () => {
  let text = "";
  const write = (part: string): void => {
    text += part;
  };
  const files = await publish(
    {
      name: "demo",
      title: "A demonstration",
      findings: [judge("rate", "99 Mbit/s", "100 ± 0.5", false), judge("loss", "0", "0", true)],
      samples: [1, 2, 3],
      charts: { "demo-curve": { data: { values: [{ x: 1, y: 2 }] }, mark: "point", encoding: { x: { field: "x" } } } },
    },
    { out, write },
  );
  expect(files.map((file) => file.slice(out.length + 1))).toEqual(["demo.json", "demo-curve.svg", "demo-curve.png"]);
  const saved = JSON.parse(readFileSync(join(out, "demo.json"), "utf8"));
  expect(saved).toMatchObject({
    name: "demo",
    samples: [1, 2, 3],
    findings: [{ verdict: "misses" }, { verdict: "holds" }],
  });
  expect(saved.machine.kernel).toMatch(/^\d/);
  expect(readFileSync(join(out, "demo-curve.svg"), "utf8")).toContain("<svg");
  expect(readFileSync(join(out, "demo-curve.png")).subarray(1, 4).toString()).toBe("PNG");
  for (const word of ["A demonstration", "misses", "holds", "100 ± 0.5"]) expect(text).toContain(word);
});
