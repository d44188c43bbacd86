import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node } from "../testing/node.ts";
import { limitRule } from "../testing/rules.ts";

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

/** Counters of pod a's device. */
function sent(): { bytes: number; packets: number } {
  const line = /eth0:(.*)/.exec(node.run("a", "cat", "/proc/net/dev"))?.[1] ?? "";
  const fields = line.trim().split(/\s+/).map(Number);
  return { bytes: fields[8] ?? 0, packets: fields[9] ?? 0 };
}

/** Mean size of packets that the pod's kernel builds, bytes. */
async function packetSize(): Promise<number> {
  const before = sent();
  await sleep(200);
  const after = sent();
  return (after.bytes - before.bytes) / (after.packets - before.packets);
}

test.each([4, 6] as const)(
  "over IPv%d a connection's packets follow its pod's limit, up and down",
  async (family) => {
    const to = node.endpoint("b").ips.find((ip) => ip.includes(":") === (family === 6)) ?? "";
    node.apply({ a: [limitRule("egress", 3e6)] });
    node.run("b", "iperf3", "-s", "-1", "-D");
    const traffic = node.start("a", "iperf3", "-c", to, "-t", "60", "-C", "cubic");
    try {
      const { packets } = sent();
      while (sent().packets < packets + 200) await sleep(50);
      expect(await packetSize()).toBeLessThan(1600);
      node.apply({ a: [limitRule("egress", 2000e6)] });
      while ((await packetSize()) < 10_000);
      node.apply({ a: [limitRule("egress", 3e6)] });
      while ((await packetSize()) > 1600);
    } finally {
      traffic.kill("SIGKILL");
    }
  },
  30_000,
);
