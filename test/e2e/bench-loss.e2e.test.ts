import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { run } from "../../src/bench/weir.ts";

const weir = fileURLToPath(new URL("../../bin/weir", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "weir-bench-loss-"));
afterAll(() => rmSync(out, { recursive: true }));

const bench = (): Promise<string> =>
  run([weir, "bench", "loss", "--quick", "--packets", "5000", "--only", "ingress across", "--out", out]);

test("burst lengths match the model, a seed repeats the same losses, and a second run has nothing to do", async () => {
  expect(await bench()).toContain("Loss asked for and measured");
  const { findings, samples } = JSON.parse(readFileSync(join(out, "loss-quick.json"), "utf8"));
  expect(samples.map(({ what }: { what: string }) => what)).toEqual(["burst", "seed"]);
  expect(samples[1]).toMatchObject({ repeats: true, differs: true, sent: 5000 });
  for (const { verdict, measured } of findings) {
    // If the machine's own queues overflow, the result says nothing about the model.
    if (verdict === "shown") expect(measured).toContain("queues dropped");
    else expect(verdict).toBe("holds");
  }
  await bench();
  expect(readFileSync(join(out, "loss-quick.jsonl"), "utf8").trim().split("\n")).toHaveLength(2);
});
