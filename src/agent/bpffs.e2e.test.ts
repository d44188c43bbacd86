import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNamespace, removeNamespace } from "../kernel/index.ts";
import { mountNote } from "./bpffs.ts";

const WEIR = new URL("../../bin/weir", import.meta.url).pathname;
const name = `weir-t${process.pid}-bpffs`;
const folder = mkdtempSync(join(tmpdir(), "weir-bpffs-"));
const state = join(folder, "state");
beforeAll(() => {
  createNamespace(name);
  mkdirSync(join(folder, "bpf"));
});
afterAll(() => {
  removeNamespace(name);
  rmSync(folder, { recursive: true });
});

/** Runs Weir under `ip netns exec`, i.e. in a mount namespace that ends with the process. */
const inNetns = (...args: string[]) => spawnSync("ip", ["netns", "exec", name, WEIR, ...args], { encoding: "utf8" });

test.each([
  ["the usual place", "/sys/fs/bpf"],
  ["another place", join(folder, "bpf")],
])("an agent whose bpffs would not outlive it refuses to start, with a hint: %s", (_name, bpffs) => {
  const config = join(folder, "agent.json");
  const node = { node: "n1", uplink: "lo", addresses: ["192.0.2.1"], podCIDRs: ["10.0.0.0/24"] };
  writeFileSync(
    config,
    JSON.stringify({ apiVersion: "weir.dev/v1alpha1", kind: "AgentConfig", ...node, state, bpffs }),
  );
  const { status, stderr } = inNetns("agent", "--config", config, "--socket", join(folder, "run", "agent.sock"));
  expect(status).toBe(1);
  expect(stderr).toContain(`use bpffs ${bpffs}: it is in a mount namespace of the agent's own`);
  expect(stderr).toContain("nsenter --net=/run/netns/NAME weir agent");
  expect(existsSync(mountNote(state))).toBe(false);
  expect(readdirSync(join(folder, "bpf"))).toEqual([]);
});

test("weir doctor reports it", () => {
  const lasting = (text: string) =>
    (JSON.parse(text) as { probes: { name: string; available: boolean; hint: string | null }[] }).probes.find(
      (one) => one.name === "bpffs that lasts",
    );
  expect(lasting(inNetns("doctor", "-o", "json").stdout)).toMatchObject({
    available: false,
    hint: expect.stringContaining("nsenter --net=/run/netns/NAME"),
  });
  const here = spawnSync("nsenter", [`--net=/run/netns/${name}`, WEIR, "doctor", "-o", "json"], { encoding: "utf8" });
  expect(lasting(here.stdout)).toMatchObject({ available: true, hint: null });
});
