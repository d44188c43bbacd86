import { beforeAll, describe, expect, test } from "vitest";
import { type PodSpec, trafficCommands } from "../../src/bench/pods.ts";
import { attempt } from "../../src/bench/weir.ts";
import { lab } from "./lab.ts";
import { type Finding, gateway, podMtu, probe } from "./probe.ts";

const SETTINGS = [
  { nodes: 2, overlay: "vxlan", mtu: 1450 },
  { nodes: 3, overlay: "direct", mtu: 1500 },
  { nodes: 3, overlay: "vxlan", mtu: 1450 },
  { nodes: 2, overlay: "direct", mtu: 1500 },
] as const;

const pods = (nodes: number): PodSpec[] =>
  ["a", "b", "c", "d", "e"].map((name, i) => ({
    name,
    node: `node-${(i % nodes) + 1}`,
    commands: trafficCommands(0),
  }));

describe.each(SETTINGS)("$nodes nodes, $overlay", ({ nodes, overlay, mtu }) => {
  const fixture = lab({ nodes, overlay, pods: pods(nodes) });
  const names = pods(nodes).map(({ name }) => name);
  const found = new Map<string, Finding[]>();

  /** Every finding toward a pod as one line, but for those that are as they should be. */
  const wrong = (say: (finding: Finding, from: string) => string): string[] =>
    [...found].flatMap(([from, findings]) =>
      findings.flatMap((finding) => {
        const text = say(finding, from);
        return text === "" ? [] : [`${from} → ${finding.name} ${finding.ip}: ${text}`];
      }),
    );

  beforeAll(async () => {
    const { stage } = fixture;
    const targets = names.flatMap((name) => stage.pod(name).ips.map((ip) => ({ name, ip })));
    for (const from of names) {
      const others = targets.filter(({ name }) => name !== from);
      found.set(from, await probe(stage, from, others, await podMtu(stage, from)));
    }
  });

  test("every pod has an address of each family, and probed every other at both", () => {
    for (const name of names) expect(fixture.stage.pod(name).ips.map((ip) => ip.includes(":"))).toEqual([false, true]);
    expect([...found.values()].map((findings) => findings.length)).toEqual(names.map(() => 2 * (names.length - 1)));
  });

  test.each(["ping", "fullSize", "tcp", "udp"] as const)("%s", (what) => {
    expect(wrong((finding) => finding[what])).toEqual([]);
  });

  test("a packet over the MTU is refused with the MTU", async () => {
    expect(await podMtu(fixture.stage, "a")).toBe(mtu);
    expect(wrong(({ tooBig }) => (/message too long/i.test(tooBig) ? "" : tooBig || "it passed"))).toEqual([]);
  });

  test("traceroute shows the gateway first and the pod last", async () => {
    const first = new Map<string, string[]>();
    for (const name of names) {
      first.set(name, await Promise.all([gateway(fixture.stage, name, 4), gateway(fixture.stage, name, 6)]));
    }
    const judge = ({ traceroute, ip }: Finding, from: string): string => {
      const good = first.get(from)?.includes(traceroute[0] ?? "") && traceroute.at(-1) === ip && traceroute.length <= 3;
      return good ? "" : traceroute.join(" ");
    };
    expect(wrong(judge)).toEqual([]);
  });

  test("tracepath finds the path's MTU", () => {
    const judge = ({ tracepath }: Finding): string => {
      const good = tracepath.includes("reached") && new RegExp(`Resume: pmtu ${mtu} `).test(tracepath);
      return good ? "" : tracepath;
    };
    expect(wrong(judge)).toEqual([]);
  });

  test("the gateway answers ping", async () => {
    const { stage } = fixture;
    for (const family of [4, 6] as const) {
      const address = await gateway(stage, "a", family);
      const target = address.startsWith("fe80") ? `${address}%eth0` : address;
      await stage.exec("a", ["ping", "-n", "-c2", "-i0.2", "-W2", target]);
    }
  });

  test("pods and nodes reach each other by the nodes' own addresses", async () => {
    const { stage } = fixture;
    for (let index = 1; index <= nodes; index++) {
      const netns = stage.nodeNetns(`node-${index}`);
      for (const address of [`172.30.0.${index}`, `fd00:172:30::${index}`]) {
        await stage.exec("a", ["ping", "-n", "-c1", "-W2", address]);
      }
      const results = await Promise.all(
        stage.pod("a").ips.map((ip) => attempt(["nsenter", `--net=${netns}`, "ping", "-n", "-c1", "-W2", ip])),
      );
      expect(results.map(({ code, stdout }) => (code === 0 ? "" : `node-${index}: ${stdout}`))).toEqual(["", ""]);
    }
  });

  test("a forged source address is refused, and counted", async () => {
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
