import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { startContainer } from "./container.ts";
import { inside } from "./inside.ts";

const scratch = mkdtempSync(join(tmpdir(), "weir-container-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
for (const name of ["volume/sub", "machine", "target"]) mkdirSync(`${scratch}/${name}`, { recursive: true });

/** Sets up a container's namespaces. No container is started: there is no such cgroup. */
const start = (id: string | undefined) =>
  startContainer({
    ...{ dir: scratch, netns: "/proc/self/ns/net", cgroup: `${scratch}/none`, homeCgroup: `${scratch}/none` },
    ...{ hostname: "h", argv: ["true"], env: {}, workingDir: "/", rootfs: undefined, image: false, sysctls: {} },
    mounts: [{ source: `${scratch}/volume/sub`, target: `${scratch}/target`, type: "none", options: "bind", id }],
    log: `${scratch}/log`,
  });

it("does not start if another container has replaced the source of a mount", async () => {
  const { id } = inside(`${scratch}/volume`, "sub", { absolute: "out" });
  const { dev, ino } = statSync(`${scratch}/volume/sub`);
  expect(id).toBe(`${dev}:${ino}`);
  rmSync(`${scratch}/volume/sub`, { recursive: true });
  symlinkSync(`${scratch}/machine`, `${scratch}/volume/sub`);
  await expect(start(id)).rejects.toThrow("refused, it was changed while it was mounted");
});

it("goes on if the source is the one that was checked", async () => {
  rmSync(`${scratch}/volume/sub`);
  mkdirSync(`${scratch}/volume/sub`);
  const { id } = inside(`${scratch}/volume`, "sub", { absolute: "out" });
  await expect(start(id)).rejects.toThrow("cgroup");
});
