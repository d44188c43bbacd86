import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { dropItems } from "../../agent/views/counters.ts";
import { countedBy } from "../../agent/views/limit-use.ts";
import { endIperf, serveIperf } from "../../kernel/testing/iperf-server.ts";
import type { Effects } from "../../model/impair.ts";
import type { LimitRule } from "../../model/limits.ts";
import { limitInstance } from "../limit/limit.ts";
import { Node } from "../testing/node.ts";
import { impairInstance } from "./impair.ts";
import { ID, rule } from "./testing/bench.ts";

const RATE = 100e6;
/** Segments after an edit by which traffic goes on; some 0.1 s of the limit. */
const SEGMENTS = 1000;
const PATIENCE = { timeout: 30_000, interval: 10 };
const DIRECTION = "ingress";

let node: Node;
let pidfile: string;
let client: ChildProcess | undefined;
beforeAll(() => {
  node = new Node(`weir-t${process.pid}-ie`);
  pidfile = join(node.directory, "iperf.pid");
});
afterAll(() => {
  client?.kill();
  endIperf(pidfile);
  node?.close();
});

const limit: LimitRule = { direction: DIRECTION, rate: RATE, source: "test", configured: "100M" };
const edit = (effects?: Effects): void => {
  const impairments = effects ? { b: [rule(DIRECTION, effects)] } : {};
  node.applyRules({ limits: { b: [limit] }, impairments });
};
const loss = (probability: number): Effects => ({ loss: { model: "uniform", probability } });
const delay = (ms: number): Effects => ({ delay: { base: ms * 1e6, jitter: 0 } });

const device = (): string => node.endpoint("b").device;
/** What the rule counted; undefined while there is no row of it. */
function use(): { packets: number; lost: number } | undefined {
  const id = node.panel.names.find("instance", impairInstance(device(), DIRECTION, ID));
  const table = node.panel.table("weir_impair_use");
  const row = id === undefined ? undefined : table.lookup(table.key.encode({ instance: id }));
  if (!row) return undefined;
  const { packets, lost } = table.value.decode(row) as Record<"packets" | "lost", bigint>;
  return { packets: Number(packets), lost: Number(lost) };
}
const limitCounts = () => {
  const id = node.panel.names.id("instance", limitInstance(device(), DIRECTION));
  return countedBy(node.panel, id, RATE);
};
const sentOn = (): number => limitCounts()?.sent?.packets ?? 0;
const impaired = (): number =>
  dropItems(node.panel, new Set([`router:${device()}`]))
    .filter(({ reason }) => reason === "impaired")
    .reduce((sum, { packets }) => sum + packets, 0);
const goesOn = async (what: string): Promise<void> => {
  const had = sentOn();
  await expect.poll(() => sentOn() - had, { ...PATIENCE, message: what }).toBeGreaterThan(SEGMENTS);
};

test("TCP through a limit goes on while a loss and a delay come, change and go; all that is lost is counted", async () => {
  edit();
  await serveIperf((...command) => node.run("b", ...command), pidfile);
  client = node.start("a", "iperf3", "-c", node.endpoint("b").ips[0] ?? "", "-t", "600", "-P", "4", "-C", "cubic");
  const ended = vi.fn();
  client.on("exit", ended);
  await goesOn("before");

  // a delay needs fq: without it the packets take the rule's way and are not held
  for (const [first, second] of [
    [loss(0.01), loss(0.001)],
    [delay(10), delay(30)],
  ]) {
    edit(first);
    await expect.poll(() => use()?.packets ?? 0, PATIENCE).toBeGreaterThan(SEGMENTS);
    await goesOn("once it has come");
    edit(second);
    const had = use()?.packets ?? 0;
    await expect.poll(() => use()?.packets ?? 0, PATIENCE).toBeGreaterThan(had + SEGMENTS);
    await goesOn("once it has changed");
    edit();
    expect(use()).toBeUndefined();
    await goesOn("once it has gone");
    expect(use()).toBeUndefined();
  }

  const before = impaired();
  expect(before).toBeGreaterThan(0);
  edit(loss(0.01));
  await expect.poll(() => use()?.lost ?? 0, PATIENCE).toBeGreaterThan(10);
  expect(ended).not.toHaveBeenCalled();
  client.kill();
  await vi.waitFor(() => expect(ended).toHaveBeenCalled(), PATIENCE);
  await vi.waitFor(() => {
    const { received, sent, dropped, queued, lost } = limitCounts() ?? {};
    const { packets = 0, lost: taken = 0 } = use() ?? {};
    expect(impaired() - before).toBe(taken);
    expect(packets).toBeGreaterThan(taken);
    expect(queued?.packets).toBe(0);
    const parts = [sent, dropped, lost].map((amount) => amount?.packets ?? Number.NaN);
    expect(parts.reduce((sum, part) => sum + part)).toBe(received?.packets);
  }, PATIENCE);
}, 120_000);
