import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { dropItems } from "../../agent/views/counters.ts";
import { countedBy } from "../../agent/views/limit-use.ts";
import { endIperf, serveIperf } from "../../kernel/testing/iperf-server.ts";
import type { Effects } from "../../model/impair.ts";
import type { LimitRule } from "../../model/limits.ts";
import { binomialTest } from "../../model/statistics.ts";
import { limitInstance } from "../limit/limit.ts";
import { Node } from "../testing/node.ts";
import { impairInstance } from "./impair.ts";
import { B, ID, rule, UNLIKELY } from "./testing/bench.ts";

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

describe("real packets", () => {
  const COUNT = 100;
  const UDP = { ports: [{ protocol: "UDP", side: "either" }] } as const;
  const counters = (): { taken: number; bad: number } => {
    const snmp = node.run("b", "cat", "/proc/net/snmp", "/proc/net/snmp6");
    const [names, values] = snmp.split("\n").filter((line) => line.startsWith("Udp: "));
    const v4 = new Map((names ?? "").split(" ").map((name, i) => [name, Number((values ?? "").split(" ")[i])]));
    const v6 = (name: string) => Number(new RegExp(`Udp6${name}\\s+(\\d+)`).exec(snmp)?.[1] ?? 0);
    return {
      taken: (v4.get("NoPorts") ?? 0) + v6("NoPorts"),
      bad: (v4.get("InCsumErrors") ?? 0) + v6("InCsumErrors"),
    };
  };
  /** Sends datagrams to a closed port, where the kernel counts valid and corrupted ones separately. */
  const send = (address: string): void => {
    const loop = `for i in {1..${COUNT}}; do echo "datagram $i of this test" > /dev/udp/${address}/9; done`;
    node.run("a", "bash", "-c", loop);
    node.run("a", "sleep", "0.2");
  };

  test.each([
    ["every one corrupted is seen to be", "egress", B.v4, { corrupt: 1 }, 0, COUNT],
    ["the same over IPv6", "egress", B.v6, { corrupt: 1 }, 0, COUNT],
    ["every one sent twice arrives twice", "egress", B.v4, { duplicate: 1 }, 2 * COUNT, 0],
    ["the same over IPv6", "egress", B.v6, { duplicate: 1 }, 2 * COUNT, 0],
    ["an effect that does nothing", "egress", B.v4, { loss: { model: "uniform", probability: 0 } }, COUNT, 0],
  ] as const)("%s (%s, %s)", (_what, direction, address, effects, taken, bad) => {
    node.applyRules({ impairments: { a: [rule(direction, effects, { match: UDP })] } });
    const before = counters();
    send(address);
    const after = counters();
    expect({ taken: after.taken - before.taken, bad: after.bad - before.bad }).toEqual({ taken, bad });
  });
});

describe("a flood of datagrams between the pods", () => {
  const match = { ports: [{ protocol: "UDP", side: "either" }] } as const;
  const COUNT = 100_000;
  /** Datagrams that arrived at pod b's closed port. */
  const arrived = (family: 4 | 6): number => {
    const text = node.run("b", "cat", "/proc/net/snmp", "/proc/net/snmp6");
    if (family === 6) return Number(/Udp6NoPorts\s+(\d+)/.exec(text)?.[1]);
    const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("Udp: "));
    return Number(values.split(" ")[names.split(" ").indexOf("NoPorts")]);
  };
  /** Sends without a receiver, so that no handshake can be lost. An ICMP refusal costs one more try. */
  const flood = (address: string): void => {
    const send = `for ((i = 0; i < ${COUNT}; i++)); do echo datagram >&3 || echo datagram >&3; done`;
    node.run("a", "bash", "-c", `exec 3>/dev/udp/${address}/9; ${send}`);
    node.run("a", "sleep", "0.3");
  };

  test.each([
    ["egress", 4, B.v4, 0.2],
    ["ingress", 6, B.v6, 0.02],
  ] as const)(
    "%s, IPv%d: as many are lost as should be, and the others arrive",
    (direction, family, address, probability) => {
      const pod = direction === "egress" ? "a" : "b";
      node.applyRules({}); // removes the rule with its counters
      node.applyRules({
        impairments: { [pod]: [rule(direction, { loss: { model: "uniform", probability } }, { match })] },
      });
      const name = impairInstance(node.endpoint(pod).device, direction, ID);
      const table = node.panel.table("weir_impair_use");
      const key = table.key.encode({ instance: node.panel.names.id("instance", name) });
      const before = arrived(family);
      flood(address);
      const { packets, lost } = table.value.decode(table.lookup(key) ?? Buffer.alloc(0)) as Record<
        "packets" | "lost",
        bigint
      >;
      expect(Number(packets)).toBeGreaterThanOrEqual(COUNT);
      expect(binomialTest(Number(lost), Number(packets), probability)).toBeGreaterThan(UNLIKELY);
      expect(arrived(family) - before).toBe(Number(packets - lost));
    },
  );
});

describe("edits under TCP through a limit", () => {
  const RATE = 100e6;
  /** Segments after an edit that show that traffic continues: about 0.1 s at the limit. */
  const SEGMENTS = 1000;
  const PATIENCE = { timeout: 30_000, interval: 10 };
  const DIRECTION = "ingress";

  let pidfile: string;
  let client: ChildProcess | undefined;
  beforeAll(() => {
    pidfile = join(node.directory, "iperf.pid");
  });
  afterAll(() => {
    client?.kill();
    endIperf(pidfile);
  });

  const limit: LimitRule = { direction: DIRECTION, rate: RATE, source: "test", configured: "100M" };
  const edit = (effects?: Effects): void => {
    const impairments = effects ? { b: [rule(DIRECTION, effects)] } : {};
    node.applyRules({ limits: { b: [limit] }, impairments });
  };
  const loss = (probability: number): Effects => ({ loss: { model: "uniform", probability } });
  const delay = (ms: number): Effects => ({ delay: { base: ms * 1e6, jitter: 0 } });

  const device = (): string => node.endpoint("b").device;
  /** The rule's counters; undefined without a row. */
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

  test("TCP through a limit continues while a loss and a delay are added, changed and removed; every loss is counted", async () => {
    edit();
    await serveIperf((...command) => node.run("b", ...command), pidfile);
    client = node.start("a", "iperf3", "-c", node.endpoint("b").ips[0] ?? "", "-t", "600", "-P", "4", "-C", "cubic");
    const ended = vi.fn();
    client.on("exit", ended);
    await goesOn("before");

    // a delay needs fq: without it packets pass through the rule undelayed
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
});
