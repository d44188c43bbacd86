import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ethernet, ip4, udp } from "../../../test/packets.ts";
import { dropItems } from "../../agent/views/counters.ts";
import { countedBy } from "../../agent/views/limit-use.ts";
import { firstHop, markOf } from "../../datapath/layout.ts";
import { endIperf, serveIperf } from "../../kernel/testing/iperf-server.ts";
import type { LimitCounts } from "../../model/limit-counts.ts";
import type { LimitRule } from "../../model/limits.ts";
import { Node, type PodName } from "../testing/node.ts";
import { limitInstance } from "./limit.ts";

const RATE = 10e6;
const NONE = { packets: 0, bytes: 0 };
const ETHERNET = 14;
const REDIRECT = 7;
const rule = (direction: LimitRule["direction"]): LimitRule => ({
  ...{ direction, rate: RATE, source: "test", configured: "10M" },
});

let node: Node;
beforeAll(() => {
  node = new Node(`weir-t${process.pid}-lc`);
});
afterAll(() => node?.close());

const portOf = (pod: PodName): string => `router:${node.endpoint(pod).device}`;

function countsOf(pod: PodName, direction: LimitRule["direction"]): LimitCounts {
  const id = node.panel.names.id("instance", limitInstance(node.endpoint(pod).device, direction));
  const counts = countedBy(node.panel, id, RATE);
  if (!counts) throw new Error(`read the limit of pod ${pod}: nothing has come to it`);
  return counts;
}

/** Checks that every received packet was sent on, dropped, is queued, or was lost with its queue. */
function expectSum({ received, sent, dropped, queued, lost }: LimitCounts): void {
  for (const unit of ["packets", "bytes"] as const) {
    const parts = [sent, dropped, queued, lost].map((amount) => amount?.[unit] ?? Number.NaN);
    expect(parts.reduce((sum, part) => sum + part)).toBe(received?.[unit]);
  }
}

test("UDP at twice a limit: every packet is counted as sent on or dropped, and the drops are in weir_drops", async () => {
  // a pod's ingress is not charged to the sender's socket, which would hold packets back
  node.apply({ b: [rule("ingress")] });
  const pidfile = join(node.directory, "iperf.pid");
  await serveIperf((...command) => node.run("b", ...command), pidfile);
  const options = ["-u", "-b", String(2 * RATE), "-l", "1400", "-t", "1", "--tos", "2"];
  try {
    node.run("a", "iperf3", ...options, "-c", node.endpoint("b").ips[0] ?? "");
  } finally {
    endIperf(pidfile);
  }
  const counts = await vi.waitFor(() => {
    const now = countsOf("b", "ingress");
    expectSum(now);
    expect([now.queued, now.lost]).toEqual([NONE, NONE]);
    return now;
  }, 10_000);
  const { sent, dropped, marked, delayed, waits } = counts;
  expect(sent?.packets).toBeGreaterThan(0);
  expect(dropped?.packets).toBeGreaterThan(0);
  expect(marked).toBeGreaterThan(0);
  expect(delayed).toBeGreaterThan(0);
  expect(waits?.reduce((sum, count) => sum + count)).toBe(sent?.packets);
  const drops = dropItems(node.panel, new Set([portOf("b")])).filter(({ reason }) => reason === "rate_limit");
  const { packets = 0, bytes = 0 } = dropped ?? {};
  expect(drops).toMatchObject([
    { port: portOf("b"), direction: "ingress", packets, bytes: bytes + packets * ETHERNET },
  ]);
}, 60_000);

test("packets removed with their queue are counted as lost, and the sum is right at any time", async () => {
  node.apply({ b: [rule("egress")] });
  const frame = ethernet(
    { src: node.endpoint("b").mac, dst: "02:77:65:69:72:01" },
    ip4({ src: "10.244.1.11", dst: "10.244.1.10" }, udp({ sport: 1000, dport: 2000 }, Buffer.alloc(1000))),
  );
  const mark = markOf(firstHop(node.panel.names.id("port", portOf("b")), "ingress"), node.panel.abi);
  // a test run only goes as far as the queue
  for (let packet = 0; packet < 3; packet++) {
    expect(node.inNode(() => node.panel.resume.testRun({ data: frame, ctx: { mark } })).retval).toBe(REDIRECT);
  }
  await vi.waitFor(() => {
    const counts = countsOf("b", "egress");
    expectSum(counts);
    expect(counts).toMatchObject({ queued: { packets: 0 }, lost: { packets: 3, bytes: 3 * 1028 } });
  }, 10_000);
});
