import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createNamespace, namespacePath, removeNamespace } from "../src/kernel/index.ts";

const name = `weir-t${process.pid}-start`;
const folder = mkdtempSync(join(tmpdir(), "weir-start-"));
const weir = fileURLToPath(new URL("../bin/weir", import.meta.url));
beforeAll(() => void createNamespace(name));
afterAll(() => {
  removeNamespace(name);
  rmSync(folder, { recursive: true });
});

/** Starts an agent in its own network namespace; a failed start ends by itself. */
function start(settings: object): { code: number | null; err: string } {
  const config = {
    ...{ apiVersion: "weir.dev/v1alpha1", kind: "AgentConfig", node: "n1", uplink: "lo", addresses: ["192.0.2.1"] },
    ...{ state: join(folder, "state"), bpffs: join(folder, "bpf"), socket: join(folder, "run", "agent.sock") },
    ...{ podCIDRs: ["10.244.1.0/24"], ...settings },
  };
  writeFileSync(join(folder, "agent.yaml"), JSON.stringify(config));
  const argv = [`--net=${namespacePath(name)}`, weir, "agent", "--config", join(folder, "agent.yaml")];
  const { status, stderr } = spawnSync("nsenter", argv, { encoding: "utf8", timeout: 60_000 });
  return { code: status, err: stderr };
}

it.each([
  ["an address that is none", { metrics: "127.0.0.1:99999" }, "listen on 127.0.0.1:99999: not HOST:PORT"],
  ["a network that is none", { podCIDRs: ["10.0.0.1/8"] }, "10.0.0.0/8 is the network"],
])("a start that fails because of %s leaves no pins, no mount and no state", (_, settings, reason) => {
  const { code, err } = start(settings);
  expect(code).toBe(1);
  expect(err).toContain(reason);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(folder);
  expect(readdirSync(folder)).not.toContain("state");
});
