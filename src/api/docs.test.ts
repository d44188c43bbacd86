import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { createMetrics } from "./metrics.ts";
import { buildApp } from "./server.ts";
import { MemoryBackend } from "./testing/memory.ts";

const page = () => readFile(new URL("../../docs/api.md", import.meta.url), "utf8");

test("docs/api.md has every metric, and no other", async () => {
  const text = await createMetrics(new MemoryBackend("node-1")).text();
  const metrics = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  const documented = [...(await page()).matchAll(/`(weir_[a-z_]+)`/g)].map(([, name]) => name);
  expect(documented.sort()).toEqual(metrics.sort());
});

test("docs/api.md has every route, and no other", async () => {
  const { app } = await buildApp(new MemoryBackend("node-1"));
  const { paths } = (await app.inject("/openapi.json")).json();
  const documented = [...(await page()).matchAll(/`(?:[A-Z]+ )?(\/v1\/[^`]+)`/g)].map(([, path]) => path);
  expect([...new Set(documented)].sort()).toEqual(Object.keys(paths).sort());
});
