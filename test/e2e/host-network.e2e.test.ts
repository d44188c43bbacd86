import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { binomialTest } from "../../src/model/statistics.ts";
import { lab, REPOSITORY } from "./lab.ts";

interface Receipt {
  pod: string;
  effective: string | null;
  state: string;
  packets: number;
  dropped: number;
  lost: number;
  reason: string | null;
}
interface Chain {
  port: string;
  owner: string | null;
  direction: string;
  hops: { function: string }[];
}
interface Problem {
  object: string;
  message: string;
}

const UNLIKELY = 1e-4;
const COUNT = 5000;
const A = { name: "a", node: "node-1", hostNetwork: true };
const BESIDE = { name: "beside", node: "node-1", hostNetwork: true };
const FAR = { name: "far", node: "node-2", hostNetwork: true, commands: [["iperf3", "-s"]] };

describe("a pod with hostNetwork", () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-host-programs-"));
  cpSync(join(REPOSITORY, "examples/programs"), folder, { recursive: true });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const fixture = lab({ nodes: 2, pods: [A, BESIDE, FAR], programs: folder });
  const RULES = {
    ...{ "ebpf-limit": "drop-one-of egress -DN=10", loss: "uniform egress 20%" },
    bandwidth: "50 mbps egress",
  };
  const address = (family: 4 | 6) => (family === 4 ? "172.30.0.2" : "fd00:172:30::2");
  const send = (pod: string, count: number, family: 4 | 6): Promise<unknown> => {
    const loop = `for ((i = 0; i < ${count}; i++)); do echo datagram >&3 || echo datagram >&3; done`;
    return fixture.stage.exec(pod, ["bash", "-c", `exec 3>/dev/udp/${address(family)}/9; ${loop}`], 60_000);
  };
  const receipts = async () => {
    const { stage } = fixture;
    const [limit] = await stage.limits();
    const [impair] = await stage.get<Receipt>("impairments");
    const [custom] = await stage.get<Receipt>("programs");
    return { limit, impair, custom };
  };

  test("program, loss and limit act on it in this order, each with its own counters", async () => {
    const { stage } = fixture;
    await stage.apply([{ ...A, annotations: RULES }, BESIDE, FAR]);
    expect((await stage.get<Problem>("problems")).filter(({ object }) => object === "Pod/default/a")).toEqual([]);
    const [chain] = (await stage.get<Chain>("chains")).filter(({ port }) => port.startsWith("tap:host"));
    expect(chain?.direction).toBe("ingress");
    expect(chain?.hops.map((hop) => hop.function)).toEqual(["custom", "impair", "limit"]);
    for (const family of [4, 6] as const) await send("a", COUNT, family);
    const { limit, impair, custom } = await receipts();
    expect(custom).toMatchObject({ pod: "a", effective: "drop-one-of -DN=10", state: "active", reason: null });
    const { packets = 0, dropped = 0 } = custom ?? {};
    // A send after an ICMP "port unreachable" fails.
    expect(packets).toBeGreaterThan(COUNT);
    expect(packets).toBeLessThanOrEqual(2 * COUNT);
    expect(dropped).toBe(Math.floor(packets / 10));
    expect(impair).toMatchObject({ pod: "a", packets: packets - dropped, reason: null });
    expect(binomialTest(impair?.lost ?? 0, impair?.packets ?? 1, 0.2)).toBeGreaterThan(UNLIKELY);
    expect(limit).toMatchObject({ pod: "a", direction: "egress", effective: 50_000_000, reason: null });
  });

  test("packets of another pod with hostNetwork are not affected", async () => {
    const before = await receipts();
    await send("beside", 200, 4);
    const after = await receipts();
    expect(after.custom?.packets).toBe(before.custom?.packets);
    expect(after.impair?.packets).toBe(before.impair?.packets);
  });

  test("its TCP flow keeps the limit's rate, and is unlimited once the rules are gone", async () => {
    const { stage } = fixture;
    const measure = async (): Promise<number> => {
      const out = await stage.exec("a", ["iperf3", "-c", address(4), "-t", "2", "-J"], 30_000);
      return JSON.parse(out).end.sum_received.bits_per_second;
    };
    await stage.apply([{ ...A, annotations: { bandwidth: "50 mbps egress" } }, BESIDE, FAR]);
    const rate = await measure();
    expect(rate).toBeGreaterThan(50e6 * 0.4);
    expect(rate).toBeLessThan(50e6 * 1.25);
    expect((await receipts()).limit?.measured).toBeGreaterThan(50e6 * 0.4);
    await stage.apply([A, BESIDE, FAR]);
    expect(await stage.limits()).toEqual([]);
    // The port stays for a minute, for packets that are still queued; its chains are empty.
    const ports = await stage.get<{ name: string; ingress: string[]; egress: string[] }>("ports");
    const taps = ports.filter(({ name }) => name.startsWith("tap:"));
    expect(taps.flatMap(({ ingress, egress }) => [...ingress, ...egress])).toEqual([]);
    expect(await measure()).toBeGreaterThan(100e6);
  });
});
