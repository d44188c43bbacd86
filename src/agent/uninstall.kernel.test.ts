import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNamespace, inNamespace, namespacePath, removeNamespace } from "../kernel/index.ts";
import { AppliedStore } from "../sources/applied.ts";
import { openAttachments } from "../sources/attachments.ts";
import { LastGoodFile } from "../sources/last-good.ts";
import { lockNode } from "./lock.ts";
import { uninstall } from "./uninstall.ts";

const name = `weir-t${process.pid}-uninstall`;
const folder = mkdtempSync(join(tmpdir(), "weir-uninstall-"));
const options = { bpffs: join(folder, "bpf"), state: join(folder, "state"), socket: join(folder, "run", "agent.sock") };
beforeAll(() => void createNamespace(name));
afterAll(() => {
  removeNamespace(name);
  rmSync(folder, { recursive: true });
});

/** Runs uninstall in a network namespace of its own. It never awaits, so the thread may change its namespace. */
function run(plan: boolean): Promise<readonly string[]> {
  let result: Promise<readonly string[]> = Promise.resolve([]);
  inNamespace(namespacePath(name), () => {
    result = uninstall({ ...options, plan });
  });
  return result;
}

/** Writes the state of an agent with a pod, an invalid limit, and an applied object. */
function fillStores(folder: string): void {
  const endpoints = openAttachments({ folder, podCIDRs: ["10.0.0.0/24"] });
  for (const uid of ["u", "v"]) endpoints.put("ns", "a", { uid, netns: "/run/netns/a", ifname: "eth0" });
  const rule = { direction: "egress", rate: 1e6, source: "bandwidth", configured: "1 mbps egress" } as const;
  new LastGoodFile(folder).save(new Map([["ns/a", { uid: "u", byKey: { bandwidth: [rule] } }]]));
  new AppliedStore(folder).put([
    { apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: { containers: [{ name: "c" }] } },
  ]);
}

test("a killed agent's state and socket are removed, but not while an agent runs", async () => {
  fillStores(options.state);
  mkdirSync(join(folder, "run"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(options.socket, resolve));
  const all = [
    `state ${join(options.state, "endpoints")}`,
    `state ${join(options.state, "released.json")}`,
    `state ${join(options.state, "rules.json")}`,
    `state ${join(options.state, "applied.json")}`,
    `socket ${options.socket}`,
  ];
  expect(await run(true)).toEqual(all);
  const lock = lockNode("start", [options.state]);
  await expect(run(false)).rejects.toThrow("an agent runs");
  lock.release();
  expect(await run(false)).toEqual(all);
  expect([options.state, join(folder, "run")].filter((path) => existsSync(path))).toEqual([]);
  expect(await run(false)).toEqual([]);
  server.close();
});

test("a user other than root gets that as the error, not an empty result", async () => {
  process.seteuid?.(65534);
  const found = uninstall({ ...options, plan: true });
  process.seteuid?.(0);
  await expect(found).rejects.toThrow("look for what agents left: EACCES (it is root's alone: try sudo)");
});
