import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockNode } from "./lock.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("one agent per node; a missing folder needs no lock", () => {
  const folders = [folder, join(folder, "missing")];
  const lock = lockNode("start agent of a", folders);
  expect(() => lockNode("uninstall", folders)).toThrow(`uninstall: an agent runs on ${folder} (stop it first)`);
  lock.release();
  lockNode("uninstall", folders).release();
});

test("a failed lock releases the others", () => {
  const other = mkdtempSync(join(folder, "other-"));
  const held = lockNode("start", [other]);
  expect(() => lockNode("start", [folder, other])).toThrow("an agent runs");
  lockNode("start", [folder]).release();
  held.release();
});
