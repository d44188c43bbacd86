import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { labNames } from "../names.ts";
import { writeRecord } from "../record.ts";
import type { LabIo } from "./io.ts";
import { logs } from "./show.ts";

const runDir = mkdtempSync(`${tmpdir()}/weir-show-`);
const names = labNames("x", `${runDir}/labs`);
const container = (name: string) => ({ name, log: `${runDir}/${name}.log` });
const pod = { namespace: "ns", name: "web", containers: [container("main")], initContainers: [container("first")] };
const server = createServer((_, response) => response.end(JSON.stringify({ pods: [pod] })));

beforeAll(async () => {
  mkdirSync(names.dir, { recursive: true });
  const record = { version: 1, name: "x", createdAt: "", nodes: 1, overlay: "vxlan" } as const;
  writeRecord(names, { ...record, sources: [], images: {}, cgroup: "/none" });
  writeFileSync(`${runDir}/first.log`, "said first\n");
  await new Promise<void>((resolve) => server.listen(names.socket, resolve));
});
afterAll(() => {
  server.close();
  rmSync(runDir, { recursive: true });
});

async function read(container?: string, pod = "web"): Promise<string> {
  const stdout = new PassThrough();
  await logs({ name: "x", namespace: "ns", pod, container }, { runDir, stdout } as unknown as LabIo);
  return String(stdout.read());
}

test("prints a container's log, also an init container's", async () => {
  expect(await read("first")).toBe("said first\n");
});
test("reports that a container that never started has no log", async () => {
  const told = "read logs of ns/web: container main was not started yet (weir lab status says why)";
  await expect(read()).rejects.toMatchObject({ code: "not-started", message: told });
  await expect(read("main")).rejects.toThrow(told);
});
test("reports which pod or container does not exist", async () => {
  await expect(read("other")).rejects.toThrow("read logs of ns/web: no such container");
  await expect(read(undefined, "db")).rejects.toThrow("read logs of ns/db: no such pod");
});
