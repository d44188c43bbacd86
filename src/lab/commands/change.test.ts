import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, expect, test } from "vitest";
import { apply, changes, del } from "./change.ts";
import type { LabIo } from "./io.ts";

const runDir = mkdtempSync(`${tmpdir()}/weir-change-`);
afterAll(() => rmSync(runDir, { recursive: true }));

const io = { runDir, signal: new AbortController().signal } as unknown as LabIo;
const text = "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n";

test.each([
  ["apply", apply],
  ["diff", changes],
  ["delete", del],
] as const)("%s in a lab that is not there says how to start it", async (_, change) => {
  const message = 'find lab "none": not running (start it with weir lab up --name none)';
  await expect(change({ name: "none", files: [], text }, io)).rejects.toMatchObject({ code: "no-lab", message });
});
