import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { idKey } from "../../datapath/tables.ts";
import { cpuMask } from "../../kernel/steering.ts";
import { SHAPE } from "../../model/panel.ts";
import { Node } from "../testing/node.ts";
import { limitRule as rule } from "../testing/rules.ts";

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

test("each flow returns on one processor, so that its packets are not reordered", () => {
  node.apply({ a: [rule("egress", 7e6)] });
  const file = `/sys/class/net/${SHAPE.other}/queues/rx-0/rps_cpus`;
  const mask = execFileSync("ip", ["netns", "exec", node.namespace("node"), "cat", file], { encoding: "utf8" });
  expect(mask.replace(/^[0,]*/, "").trim()).toBe(cpuMask(cpus().length));
});

test("with a read-only sysfs a limit is in force, with a warning", () => {
  const limits = { a: [rule("egress", 8e6)] };
  const sysfs = mkdtempSync(join(tmpdir(), "weir-limit-sys-"));
  const enter = `--net=${node.path("node")}`;
  execFileSync("nsenter", [enter, "mount", "-t", "sysfs", "-o", "ro", "sysfs", sysfs]); // the superblock is shared by all its mounts
  const datapath = node.inNode(() => node.datapath());
  try {
    node.apply(limits, datapath);
  } finally {
    execFileSync("umount", [sysfs]);
    rmdirSync(sysfs);
  }
  const refusal = "EROFS, it is read-only: remount /sys with rw where the agent runs";
  const message = `packets of a flow may overtake each other: sysfs refuses it: ${refusal}`;
  const warning = { owner: "node node", code: "degraded", message, severity: "warning" };
  expect(datapath.outcomes.all()).toEqual([warning]);
  expect(node.apply(limits, datapath)).toBe(0);
  node.scrub(datapath);
  expect(datapath.outcomes.all()).toEqual([]);
});

test.each(cpus().map((_, cpu) => cpu))("a flow from processor %d returns on it", (cpu) => {
  node.apply({ a: [rule("egress", 7e6)] });
  const PINGS = 10;
  const port = node.panel.names.id("port", `router:${node.endpoint("b").device}`);
  /** Packets delivered to pod b on this processor. */
  const delivered = (): number => {
    const row = node.panel.table("weir_ports").lookup(idKey(port));
    return Number(row?.readBigUInt64LE(cpu * 32 + 16) ?? 0);
  };
  const before = delivered();
  const to = node.endpoint("b").ips[0] ?? "";
  node.run("a", "taskset", "-c", String(cpu), "ping", "-q", "-c", String(PINGS), "-i", "0.01", to);
  expect(delivered() - before).toBeGreaterThanOrEqual(PINGS);
});
