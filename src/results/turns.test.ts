import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Cluster } from "./testing/cluster.ts";

const NODES = 40;
let abort: AbortController;
let cluster: Cluster;
beforeEach(() => {
  vi.useFakeTimers();
  abort = new AbortController();
  cluster = new Cluster(NODES, abort.signal);
});
afterEach(() => {
  abort.abort();
  vi.useRealTimers();
});

const message = () =>
  (cluster.status["conditions"] as { type: string; message: string }[]).find(({ type }) => type === "Enforced")
    ?.message;

/** Starts a pod on each node, one every half a second. */
async function rollOut(): Promise<void> {
  for (const node of cluster.nodes) {
    cluster.setPods(node, 1);
    await vi.advanceTimersByTimeAsync(500);
  }
}

test("pods that start one after another cause two writes each, and no conflict", async () => {
  await rollOut();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(cluster.counts).toEqual({ entries: NODES, conditions: NODES, conflicts: 0 });
  expect(message()).toBe("in force for 40 pods on 40 nodes");
});

test("an edit causes one write by each node, and few of the conditions", async () => {
  await rollOut();
  await vi.advanceTimersByTimeAsync(30_000);
  const before = { ...cluster.counts };
  cluster.edit();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(cluster.counts.entries - before.entries).toBe(NODES);
  expect(cluster.counts.conditions - before.conditions).toBeLessThanOrEqual(3);
  expect(cluster.counts.conflicts).toBe(0);
  expect(message()).toBe("in force for 40 pods on 40 nodes");
});

test("whichever agents do not run, the others write the conditions", async () => {
  await rollOut();
  await vi.advanceTimersByTimeAsync(30_000);
  for (const node of cluster.nodes.slice(0, NODES / 2)) cluster.dead.add(node);
  cluster.setPods("n39", 2);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(message()).toBe("in force for 41 pods on 40 nodes");
});

test("an object without pods is reported once", async () => {
  cluster.edit();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(cluster.counts).toMatchObject({ entries: 0, conditions: 1 });
  expect(message()).toBe("it chooses no pod that has a network on a node");
});
