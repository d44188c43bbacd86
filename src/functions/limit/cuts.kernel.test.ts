import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node } from "../testing/node.ts";
import { limitRule } from "../testing/rules.ts";

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

/** Mbit/s, one after the other. */
const RATES: readonly [number, ...number[]] = [500, 1, 500, 2, 30, 500, 1, 400, 2000, 3];
const HELD = 700;

test.each(["egress", "ingress"] as const)(
  "%s: datagrams of a flow keep their order while its limit is cut and raised",
  async (direction) => {
    const apply = (rate: number) => node.apply({ a: [limitRule(direction, rate * 1e6)] });
    apply(RATES[0]);
    const [server, client] = direction === "egress" ? (["b", "a"] as const) : (["a", "b"] as const);
    const log = join(node.directory, `${direction}.json`);
    node.run(server, "iperf3", "-s", "-1", "-D", "-J", "--logfile", log);
    const load = [
      "-J",
      "--logfile",
      log,
      "-u",
      "-b",
      "60M",
      "-l",
      "1400",
      "-A",
      "0",
      "-t",
      String((RATES.length * HELD) / 1000),
    ];
    const traffic = node.start(client, "iperf3", "-c", node.endpoint(server).ips[0] ?? "", ...load);
    const ended = new Promise((done) => traffic.once("close", done));
    for (const rate of RATES) {
      apply(rate);
      await sleep(HELD);
    }
    await ended;
    const counts = [...readFileSync(log, "utf8").matchAll(/"(packets|out_of_order)":\s*(\d+)/g)];
    const count = (name: string): number => Math.max(...counts.map(([, what, n]) => (what === name ? Number(n) : -1)));
    expect(count("packets")).toBeGreaterThan(1000);
    expect(count("out_of_order")).toBe(0);
  },
  60_000,
);
