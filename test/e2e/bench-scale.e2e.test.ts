import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { ChangeResult } from "../../src/bench/scale/results.ts";
import { run } from "../../src/bench/weir.ts";

const weir = fileURLToPath(new URL("../../bin/weir", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "weir-bench-scale-"));
afterAll(() => rmSync(out, { recursive: true }));

const bench = (...options: string[]): Promise<string> =>
  run([weir, "bench", "scale", "--quick", "--out", out, ...options], { timeout: 240_000 });
const lines = (): string[] => readFileSync(join(out, "scale-quick.jsonl"), "utf8").trim().split("\n");

test("measures changes of a cluster in the kernel, alternating with another build; a second run has nothing to do", async () => {
  const asked = ["--only", "cluster nodes", "--against", weir];
  await bench(...asked);
  const { samples } = JSON.parse(readFileSync(join(out, "scale-quick.json"), "utf8")) as { samples: ChangeResult[] };
  const steps = samples.flatMap((one) => one.steps);
  expect(steps.map(({ what }) => what)).toEqual(["a node added", "a node deleted"]);
  for (const { own, other } of steps.flatMap(({ rounds }) => rounds)) {
    for (const { cpu, time } of [...own, ...(other ?? [])]) {
      expect(cpu).not.toBe(0);
      expect(time).toBeGreaterThan(0);
    }
    expect([own.length, other?.length]).toEqual([2, 2]);
  }
  const before = lines();
  await bench(...asked);
  expect(lines()).toEqual(before);
});
