import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNamespace, inNamespace, namespacePath, removeNamespace } from "../kernel/index.ts";
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

/** In a namespace of its own: what it removes is what the test made. It never awaits, so the thread may move. */
function run(plan: boolean): Promise<readonly string[]> {
  let result: Promise<readonly string[]> = Promise.resolve([]);
  inNamespace(namespacePath(name), () => {
    result = uninstall({ ...options, plan });
  });
  return result;
}

test("a killed agent's state and socket go, but not while an agent runs", async () => {
  mkdirSync(join(options.state, "endpoints"), { recursive: true });
  writeFileSync(join(options.state, "rules.json"), "[]");
  mkdirSync(join(folder, "run"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(options.socket, resolve));
  const all = [
    `state ${join(options.state, "endpoints")}`,
    `state ${join(options.state, "rules.json")}`,
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
