import { afterAll, beforeAll, expect, test } from "vitest";
import { Node } from "../testing/node.ts";
import { limitRule } from "../testing/rules.ts";

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

test("large pings pass while 20 sockets send four times a limit of 1 Mbit/s", async () => {
  node.apply({ b: [limitRule("ingress", 1e6)] });
  const to = node.endpoint("b").ips[0] ?? "";
  node.run("b", "iperf3", "-s", "-1", "-D");
  const flood = node.start("a", "iperf3", "-c", to, "-u", "-P", "20", "-b", "200k", "-l", "1172", "-t", "60");
  try {
    const before = refused();
    while (refused() < before + 100) await new Promise((done) => setTimeout(done, 50));
    const answers = node.run("a", "ping", "-q", "-c", "12", "-i", "0.25", "-s", "972", "-W", "1", to);
    expect(Number(/(\d+) received/.exec(answers)?.[1])).toBeGreaterThanOrEqual(11);
  } finally {
    flood.kill("SIGKILL");
  }
}, 60_000);

/** Packets that the node's limits refused. */
function refused(): number {
  const table = node.panel.table("weir_limit_use");
  return table.entries().reduce((sum, [, row]) => sum + Number(table.value.decode(row)["refused_packets"]), 0);
}
