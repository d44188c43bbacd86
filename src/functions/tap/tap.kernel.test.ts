import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { idKey } from "../../datapath/tables.ts";
import { BpfMap, loadObject } from "../../kernel/index.ts";
import type { Direction } from "../../model/directions.ts";
import type { Effects, ImpairRule } from "../../model/impair.ts";
import type { LimitRule } from "../../model/limits.ts";
import { binomialTest } from "../../model/statistics.ts";
import { DEVICE, HOST, Neighbour, POD } from "../testing/neighbour.ts";
import { compileObject } from "../testing/node.ts";

const KEY = "default/web";
const UNLIKELY = 1e-4;
const ALL_LOST = { loss: { model: "uniform", probability: 1 } } as const;
const PINGS = { ports: [{ protocol: "ICMP", side: "either" }] } as const;

let world: Neighbour;
beforeAll(() => {
  world = new Neighbour();
});
afterAll(() => world?.close());
beforeEach(() => world.apply({}));

const impaired = (direction: Direction, effects: Effects): ImpairRule => ({
  id: "t",
  source: "t",
  configured: "t",
  direction,
  effects,
  match: PINGS,
  exempt: { probes: false, dns: false },
});
const impair = (direction: Direction, effects: Effects) =>
  world.apply({ impairments: new Map([[KEY, [impaired(direction, effects)]]]) });
const limit = (...rules: [Direction, number][]) =>
  world.apply({
    limits: new Map([
      [KEY, rules.map(([direction, rate]): LimitRule => ({ direction, rate, source: "t", configured: "t" }))],
    ]),
  });

/** Attaches foreign programs, like `tc` does. Returns a function for their counters. */
function others(): () => { ingress: number; egress: number } {
  const object = join(world.directory, "others.bpf.o");
  const pins = join(world.bpffs, "others");
  compileObject("src/functions/tap/testdata/others.bpf.c", object);
  const loaded = loadObject(object, { pinDir: pins });
  world.run("node", "tc", "qdisc", "replace", "dev", DEVICE, "clsact");
  for (const [direction, name] of [
    ["ingress", "others_in"],
    ["egress", "others_out"],
  ] as const) {
    loaded.program(name).pin(join(pins, name));
    const filter = ["dev", DEVICE, direction, "prio", "77", "bpf", "da", "object-pinned", join(pins, name)];
    world.run("node", "tc", "filter", "add", ...filter);
  }
  loaded.close();
  const map = BpfMap.open(join(pins, "others_seen"));
  const read = (key: number) => Number(map.lookup(idKey(key))?.readBigUInt64LE());
  return () => ({ ingress: read(0), egress: read(1) });
}

describe.each([
  ["IPv4", POD.v4, HOST.v4],
  ["IPv6", POD.v6, HOST.v6],
] as const)("a pod of another network, %s", (_family, pod, host) => {
  test("without rules all packets pass", () => {
    expect(world.ping("node", pod, 20)).toBe(20);
    expect(world.ping("pod", host, 20)).toBe(20);
  });

  test.each(["ingress", "egress"] as const)(
    "%s: a packet that passes through Weir's devices arrives exactly once",
    (direction) => {
      impair(direction, { loss: { model: "uniform", probability: 0 } });
      expect(world.ping("pod", host, 50)).toBe(50);
      limit([direction, 100e6]);
      expect(world.ping("pod", host, 50)).toBe(50);
    },
  );

  test.each(["ingress", "egress"] as const)("%s: half of the packets are lost", (direction) => {
    const count = 150;
    impair(direction, { loss: { model: "uniform", probability: 0.5 } });
    expect(binomialTest(count - world.ping("pod", host, count), count, 0.5)).toBeGreaterThan(UNLIKELY);
  });

  test("a packet mark set by the sender does not bypass the chain", () => {
    const back = `${0x04000000}`;
    impair("egress", ALL_LOST);
    expect(world.ping("pod", host, 5, "-m", back)).toBe(0);
    impair("ingress", ALL_LOST);
    expect(world.ping("node", pod, 5, "-m", back)).toBe(0);
  });
});

describe("beside foreign programs", () => {
  test("foreign filters see each packet once, with and without a detour, and stay attached", () => {
    const seen = others();
    world.run("node", "ping", "-n", "-q", "-c", "1", POD.v4); // resolves neighbours
    const before = seen();
    world.ping("pod", HOST.v4, 30);
    limit(["ingress", 100e6], ["egress", 100e6]);
    world.ping("pod", HOST.v4, 30);
    const after = seen();
    for (const direction of ["ingress", "egress"] as const) {
      const packets = after[direction] - before[direction];
      expect(packets).toBeGreaterThanOrEqual(60);
      expect(packets).toBeLessThan(70); // a few are ARP
    }
    world.apply({ taps: [] });
    expect(readdirSync(join(world.panel.root, "links")).filter((pin) => pin.startsWith("%"))).toEqual([]);
    expect(world.ping("pod", HOST.v4, 5)).toBe(5);
    expect(seen().ingress).toBeGreaterThanOrEqual(after.ingress + 5);
  });

  test.each(["egress", "ingress"] as const)("%s: TCP is limited", async (direction) => {
    limit([direction, 20e6]);
    await world.serve("pod");
    const reverse = direction === "egress" ? ["-R"] : [];
    const run = ["iperf3", "-c", POD.v4, "-t", "2", "--json", "--connect-timeout", "2000", ...reverse];
    const { end, error } = JSON.parse(world.run("node", ...run));
    expect(error).toBe(undefined);
    // only tells a limited rate from an unlimited one: the exact rate is measured by the bench
    expect(end.sum_received.bits_per_second).toBeGreaterThan(20e6 * 0.4);
    expect(end.sum_received.bits_per_second).toBeLessThan(20e6 * 1.25);
  });
});
