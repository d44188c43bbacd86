import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { OrderResult } from "../../src/bench/limiter/order.ts";
import type { StepResult } from "../../src/bench/limiter/step.ts";
import { run } from "../../src/bench/weir.ts";

const weir = fileURLToPath(new URL("../../bin/weir", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "weir-bench-limiter-"));
afterAll(() => rmSync(out, { recursive: true }));

/** Runs a measurement's cases whose names have all of these words, and returns their results. */
async function bench<Result>(name: string, only: string): Promise<Result[]> {
  await run([weir, "bench", name, "--quick", "--only", only, "--out", out], { timeout: 240_000 });
  return (JSON.parse(readFileSync(join(out, `${name}-quick.json`), "utf8")) as { samples: Result[] }).samples;
}

test("a limit lowered while its queue is full enforces the new rate and stops no flow", async () => {
  const [step] = await bench<StepResult>("steps", "80M→20M ingress same annotation cubic×1");
  expect(step?.rate).toBeGreaterThan(10e6);
  expect(step?.rate).toBeLessThan(30e6);
  expect(step?.course.at(-1)).toBeGreaterThan(0);
});

test("datagrams of mixed sizes from one socket keep their order under a limit", async () => {
  const [order] = await bench<OrderResult>("order", "10M egress same 1200,1200,1200,100");
  expect(order?.received).toBeGreaterThan(0);
  expect(order?.late).toBe(0);
});
