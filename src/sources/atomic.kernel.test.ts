import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AppliedStore } from "./applied.ts";
import { writeAtomically } from "./atomic.ts";

/** Size of the file system: data that does not fit is partly written before the disk is full. */
const SIZE = 65536;
let disk: string;

beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), "weir-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", disk]);
});
afterEach(() => {
  execFileSync("umount", [disk]);
  rmSync(disk, { recursive: true, force: true });
});

test("a disk that is too full keeps the old file, and no part of the new one", () => {
  const path = join(disk, "rules.json");
  writeAtomically(path, "good");
  expect(() => writeAtomically(path, "x".repeat(2 * SIZE))).toThrow("ENOSPC");
  expect(readdirSync(disk)).toEqual(["rules.json"]);
  expect(readFileSync(path, "utf8")).toBe("good");
  writeAtomically(path, "y".repeat(SIZE / 4)); // the partial file was removed
  expect(readFileSync(path, "utf8")).toHaveLength(SIZE / 4);
});

test("a full disk at the start loses no applied object, now or at the next start", () => {
  const limit = (name: string, ingress: unknown) => ({
    ...{ apiVersion: "weir.dev/v1alpha1", kind: "Limit", metadata: { name, namespace: "shop" } },
    spec: { selector: { matchLabels: { app: "web" } }, ingress },
  });
  const items = [limit("good", "10M"), limit("bad", {})];
  writeFileSync(join(disk, "applied.json"), JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const room = SIZE - Number(execFileSync("du", ["-s", "-B1", disk], { encoding: "utf8" }).split("\t")[0]);
  writeFileSync(join(disk, "filler"), "x".repeat(room));
  for (const start of ["first", "second"]) {
    const store = new AppliedStore(disk);
    expect([start, store.list().map(({ key }) => key)]).toEqual([start, ["Limit/shop/good"]]);
    expect(store.problems.map(({ message }) => message).join()).toContain("items[1]");
  }
  rmSync(join(disk, "filler"));
  expect(new AppliedStore(disk).list()).toHaveLength(1);
  expect(JSON.parse(readFileSync(join(disk, "applied.json"), "utf8")).items).toHaveLength(1);
  expect(JSON.parse(readFileSync(join(disk, "applied.json.broken"), "utf8")).items).toHaveLength(2);
});
