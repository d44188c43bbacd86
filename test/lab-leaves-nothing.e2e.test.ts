import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { REPOSITORY, testEnvironment, WEIR } from "./e2e/lab.ts";

interface Report {
  before: Record<string, unknown>;
  after: Record<string, unknown>;
  /** Each command, its exit code and its stderr. */
  trace: [string, number | string, string][];
}

const scratch = mkdtempSync(join(tmpdir(), "weir-leftovers-"));
const manifest = `${scratch}/pods.yaml`;
const container = { name: "c", image: "none", command: ["sleep", "infinity"] };
const pods = ["a", "b", "c", "d"].map((name) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, annotations: name < "c" ? { bandwidth: "10 mbps egress" } : {} },
  spec: { containers: [container] },
}));
writeFileSync(manifest, pods.map((pod) => JSON.stringify(pod)).join("\n---\n"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/**
 * Runs a scenario on a machine of its own: all of the kernel's namespaces are new, so every difference comes from the
 * lab.
 */
function play(scenario: string): Report {
  const own = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private"];
  const script = fileURLToPath(new URL("fixtures/leftovers.mjs", import.meta.url));
  const args = [...own, process.execPath, script, scenario, `t${process.pid}`, manifest, "--", ...WEIR];
  const ended = spawnSync("unshare", args, {
    encoding: "utf8",
    cwd: REPOSITORY,
    env: testEnvironment(),
    maxBuffer: 1 << 28,
    timeout: 200_000,
  });
  expect(ended.stderr).toBe("");
  return JSON.parse(ended.stdout) as Report;
}

describe("weir lab down leaves nothing behind", () => {
  it.each([
    ["after an ordinary life", "plain"],
    ["after kill -9 of the supervisor", "supervisor"],
    ["after kill -9 of the supervisor and every agent", "everything"],
    ["after kill -9 of a half-finished up", "cli"],
    ["of one of two labs, and nothing missing in the other", "sideBySide"],
  ])("%s", (_, scenario) => {
    const { before, after, trace } = play(scenario);
    expect(trace.filter(([what, code]) => code !== 0 && !what.includes("SIGKILL"))).toEqual([]);
    expect(after).toEqual(before);
  });

  it.each(["claimed", "supervised", "node", "agent", "pod"])("Ctrl+C during up, at stage %s", (stage) => {
    const { before, after, trace } = play(`interrupt-${stage}`);
    expect(trace[0]?.[1]).toBe(130);
    expect(after).toEqual(before);
  });
});
