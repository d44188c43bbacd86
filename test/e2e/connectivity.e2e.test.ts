import { beforeAll, describe, expect, test } from "vitest";
import { type PodSpec, trafficCommands } from "../../src/bench/pods.ts";
import { attempt } from "../../src/bench/weir.ts";
import { lab } from "./lab.ts";
import { gateway, type ProbeResult, podMtu, probe } from "./probe.ts";

/** `WEIR_FULL=1` adds the other combinations of size and overlay. */
const SETTINGS = [
  { nodes: 2, overlay: "direct", mtu: 1500 },
  { nodes: 3, overlay: "vxlan", mtu: 1450 },
  { nodes: 3, overlay: "direct", mtu: 1500 },
  { nodes: 2, overlay: "vxlan", mtu: 1450 },
].slice(0, process.env["WEIR_FULL"] ? 4 : 2) as Setting[];

interface Setting {
  nodes: number;
  overlay: "vxlan" | "direct";
  mtu: number;
}

const pods = (nodes: number): PodSpec[] =>
  ["a", "b", "c", "d", "e"].map((name, i) => ({
    name,
    node: `node-${(i % nodes) + 1}`,
    commands: trafficCommands(0),
  }));

describe.each(SETTINGS)("$nodes nodes, $overlay", ({ nodes, overlay, mtu }) => {
  const fixture = lab({ nodes, overlay, pods: pods(nodes) });
  const names = pods(nodes).map(({ name }) => name);
  const found = new Map<string, ProbeResult[]>();

  /** Every unexpected result towards a pod, one per line. */
  const wrong = (say: (finding: ProbeResult, from: string) => string): string[] =>
    [...found].flatMap(([from, findings]) =>
      findings.flatMap((finding) => {
        const text = say(finding, from);
        return text === "" ? [] : [`${from} → ${finding.name} ${finding.ip}: ${text}`];
      }),
    );

  beforeAll(async () => {
    const { stage } = fixture;
    const targets = names.flatMap((name) => stage.pod(name).ips.map((ip) => ({ name, ip })));
    const probeFrom = async (from: string): Promise<void> => {
      const others = targets.filter(({ name }) => name !== from);
      found.set(from, await probe(stage, from, others, mtu));
    };
    await Promise.all(names.map(probeFrom));
  });

  test("every pod has an address of each family, and probed every other at both", () => {
    for (const name of names) expect(fixture.stage.pod(name).ips.map((ip) => ip.includes(":"))).toEqual([false, true]);
    expect([...found.values()].map((findings) => findings.length)).toEqual(names.map(() => 2 * (names.length - 1)));
  });

  test.each(["ping", "fullSize", "tcp", "udp"] as const)("%s", (what) => {
    expect(wrong((finding) => finding[what])).toEqual([]);
  });

  test("a packet larger than the MTU is refused, and the error names the MTU", async () => {
    expect(await podMtu(fixture.stage, "a")).toBe(mtu);
    expect(wrong(({ tooBig }) => (/message too long/i.test(tooBig) ? "" : tooBig || "it passed"))).toEqual([]);
  });

  test("traceroute shows the gateway first and the pod last", async () => {
    const nodes = [...new Set(names.map((name) => fixture.stage.pod(name).node))];
    const gateways = nodes.map(async (node) => {
      const pod = names.find((name) => fixture.stage.pod(name).node === node) as string;
      return [node, await Promise.all([gateway(fixture.stage, pod, 4), gateway(fixture.stage, pod, 6)])] as const;
    });
    const first = new Map(await Promise.all(gateways));
    const judge = ({ traceroute, ip }: ProbeResult, from: string): string => {
      const own: readonly string[] = first.get(fixture.stage.pod(from).node) ?? [];
      const good = own.includes(traceroute[0] ?? "") && traceroute.at(-1) === ip && traceroute.length <= 3;
      return good ? "" : traceroute.join(" ");
    };
    expect(wrong(judge)).toEqual([]);
  });

  test("tracepath finds the path's MTU", () => {
    const judge = ({ tracepath }: ProbeResult): string => {
      const good = tracepath.includes("reached") && new RegExp(`Resume: pmtu ${mtu} `).test(tracepath);
      return good ? "" : tracepath;
    };
    expect(wrong(judge)).toEqual([]);
  });

  test("the gateway answers ping", async () => {
    const { stage } = fixture;
    const ping = async (family: 4 | 6): Promise<string> => {
      const address = await gateway(stage, "a", family);
      const target = address.startsWith("fe80") ? `${address}%eth0` : address;
      return stage.exec("a", ["ping", "-n", "-c2", "-i0.2", "-W2", target]);
    };
    for (const text of await Promise.all([ping(4), ping(6)])) expect(text).toContain(" 0% packet loss");
  });

  test("pods and nodes reach each other by the nodes' own addresses", async () => {
    const { stage } = fixture;
    const numbers = Array.from({ length: nodes }, (_, i) => i + 1);
    const fromPod = numbers
      .flatMap((n) => [`172.30.0.${n}`, `fd00:172:30::${n}`])
      .map((address) => stage.execArgv("a", ["ping", "-n", "-c1", "-W2", address]));
    const fromNode = numbers.flatMap((n) =>
      stage.pod("a").ips.map((ip) => {
        return ["nsenter", `--net=${stage.nodeNetns(`node-${n}`)}`, "ping", "-n", "-c1", "-W2", ip];
      }),
    );
    const results = await Promise.all([...fromPod, ...fromNode].map((argv) => attempt(argv)));
    expect(results).toHaveLength(4 * nodes);
    expect(results.filter(({ code }) => code !== 0)).toEqual([]);
  });

  test("packets with a forged source address are dropped and counted", async () => {
    const { stage } = fixture;
    const forged = [
      [4, "10.244.99.9/32", stage.ip("b", 4)],
      [6, "fd00:10:244:99::9/128", stage.ip("b", 6)],
    ] as const;
    const port = `router:${stage.pod("a").device}`;
    const spoofed = async (): Promise<number> => {
      const drops = await stage.get<{ port: string; reason: string; packets: number }>("drops");
      const ours = drops.filter((drop) => drop.port === port && /spoofed/i.test(drop.reason));
      return ours.reduce((sum, { packets }) => sum + packets, 0);
    };
    for (const [family, source, target] of forged) {
      await stage.exec("a", ["ip", `-${family}`, "addr", "add", source, "dev", "lo"]);
      const before = await spoofed();
      const from = source.split("/")[0] ?? "";
      const { code, stdout } = await stage.attemptExec("a", ["ping", "-n", "-c3", "-i0.2", "-W1", "-I", from, target]);
      expect(code, stdout).toBe(1);
      expect(stdout).toContain("100% packet loss");
      expect((await spoofed()) - before).toBe(3);
      await stage.exec("a", ["ip", `-${family}`, "addr", "del", source, "dev", "lo"]);
    }
  });
});
