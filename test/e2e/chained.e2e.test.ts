import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNamespace, namespacePath, removeNamespace, unmountBpffs } from "../../src/kernel/index.ts";
import { binomialTest } from "../../src/model/statistics.ts";
import { testEnvironment, WEIR } from "./lab.ts";

/** Pods of the reference plugins beside an agent in mode `chained`: web and peer on a bridge, far behind a ptp link. */
const PODS = { web: "bridge", peer: "bridge", far: "ptp" } as const;
type PodName = keyof typeof PODS;
const PLUGINS = "/usr/lib/cni";
const folder = mkdtempSync(join(tmpdir(), "weir-chained-"));
const socket = join(folder, "agent.sock");
const ips = new Map<PodName, readonly string[]>();
const namespace = (name: string): string => `weir-t${process.pid}-ch-${name}`;
const inside = (name: string, ...command: string[]): string =>
  execFileSync("nsenter", [`--net=${namespacePath(namespace(name))}`, ...command], {
    encoding: "utf8",
    env: testEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
  });

/** What a runtime does: the network's configuration on stdin, the rest in the environment. */
function addToNetwork(name: PodName): readonly string[] {
  const type = PODS[name];
  const subnets = type === "bridge" ? ["10.89.1.0/24", "fd89:1::/64"] : ["10.89.2.0/24", "fd89:2::/64"];
  const config = {
    ...{ cniVersion: "0.4.0", name: `weir-${type}`, type, isGateway: true },
    ipam: {
      ...{ type: "host-local", dataDir: join(folder, "ipam") },
      ranges: subnets.map((subnet) => [{ subnet }]),
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    },
  };
  const out = execFileSync("nsenter", [`--net=${namespacePath(namespace("node"))}`, join(PLUGINS, type)], {
    encoding: "utf8",
    input: JSON.stringify(config),
    env: {
      ...{ CNI_COMMAND: "ADD", CNI_CONTAINERID: namespace(name), CNI_NETNS: namespacePath(namespace(name)) },
      ...{ CNI_IFNAME: "eth0", CNI_PATH: PLUGINS },
    },
  });
  return (JSON.parse(out) as { ips: { address: string }[] }).ips.map(({ address }) => address.replace(/\/.*/, ""));
}

function write(name: PodName, annotations: Record<string, string>): void {
  const pod = {
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", annotations } },
    spec: { nodeName: "n1", containers: [{ name: "c", command: ["sleep"] }] },
    status: { podIPs: ips.get(name)?.map((ip) => ({ ip })) },
  };
  writeFileSync(join(folder, "manifests", `${name}.json`), JSON.stringify(pod));
}

interface Item {
  pod?: string;
  name?: string;
  device?: string | null;
  direction?: string;
  effective?: unknown;
  measured?: number | null;
  state?: string;
}
const get = (kind: string): Item[] => {
  const text = execFileSync(WEIR[0] as string, [...WEIR.slice(1), "get", kind, "-o", "json", "--socket", socket], {
    encoding: "utf8",
    env: testEnvironment(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  const read = JSON.parse(text) as Item[] | { items: Item[] };
  return Array.isArray(read) ? read : read.items;
};
async function until(what: string, isTrue: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  let why = "";
  while (Date.now() < end) {
    try {
      if (isTrue()) return;
    } catch (error) {
      why = (error as Error).message; // the agent is not there yet
    }
    await sleep(250);
  }
  throw new Error(`${what}: not within 20 s; ${why}; agent: ${log}`);
}
const ping = (from: PodName, to: string, count: number): number => {
  const command = `ping -n -q -i 0.002 -W 1 -c ${count} ${to} || :`;
  return Number(/(\d+) received/.exec(inside(from, "sh", "-c", command))?.[1]);
};
const address = (name: PodName, family: 4 | 6): string =>
  ips.get(name)?.find((ip) => ip.includes(":") === (family === 6)) ?? "";

let log = "";
let agent: ReturnType<typeof spawn> | undefined;
beforeAll(async () => {
  for (const name of ["node", ...Object.keys(PODS)]) createNamespace(namespace(name));
  mkdirSync(join(folder, "manifests"));
  for (const name of Object.keys(PODS) as PodName[]) {
    ips.set(name, addToNetwork(name));
    write(name, {});
  }
  const config = {
    ...{ apiVersion: "weir.dev/v1alpha1", kind: "AgentConfig", node: "n1", manifests: join(folder, "manifests") },
    ...{ state: join(folder, "state"), bpffs: join(folder, "bpf"), socket },
  };
  writeFileSync(join(folder, "agent.yaml"), JSON.stringify(config));
  const argv = [...WEIR, "agent", "--mode", "chained", "--config", join(folder, "agent.yaml")];
  agent = spawn("nsenter", [`--net=${namespacePath(namespace("node"))}`, ...argv], { env: testEnvironment() });
  agent.stdout?.on("data", (text) => (log += text));
  agent.stderr?.on("data", (text) => (log += text));
  await until("taps", () => get("pods").filter(({ device }) => device).length === 3);
}, 40_000);
afterAll(async () => {
  if (agent?.exitCode === null && agent.signalCode === null) {
    const ended = new Promise((resolve) => agent?.once("exit", resolve));
    agent.kill("SIGTERM");
    await ended;
  }
  for (const name of [...Object.keys(PODS), "node"]) removeNamespace(namespace(name));
  unmountBpffs(join(folder, "bpf"));
  rmSync(folder, { recursive: true, force: true });
});

test("nothing is lost without rules", () => {
  for (const family of [4, 6] as const) {
    expect(ping("web", address("peer", family), 20)).toBe(20);
    expect(ping("far", address("web", family), 20)).toBe(20);
  }
});

describe.each([
  ["web", "peer"],
  ["far", "web"],
] as const)("%s, a pod of a reference plugin", (name, other) => {
  test.each(["egress", "ingress"] as const)("loss %s, both families", async (direction) => {
    write(name, { loss: `uniform ${direction} 30%` });
    await until("loss in force", () =>
      get("impairments").some((one) => one.pod === name && one.direction === direction && one.state === "active"),
    );
    for (const family of [4, 6] as const) {
      const lost = 200 - ping(name, address(other, family), 200);
      expect(binomialTest(lost, 200, 0.3)).toBeGreaterThan(1e-4);
    }
    write(name, {});
    await until("no loss", () => get("impairments").length === 0);
    expect(ping(name, address(other, 4), 20)).toBe(20);
  });
});

test.each([
  ["web", "peer", "ingress"],
  ["web", "peer", "egress"],
  ["far", "web", "egress"],
] as const)("%s is held at 20 Mbit/s (%s, %s)", async (name, other, direction) => {
  write(name, { bandwidth: `20 mbps ${direction}` });
  await until("limit in force", () => get("limits").some((one) => one.pod === name && one.effective === 20e6));
  inside(name, "iperf3", "-s", "-D", "-1", "--pidfile", join(folder, "iperf.pid"));
  const command = ["iperf3", "-c", address(name, 4), "-t", "2", "--json", ...(direction === "egress" ? ["-R"] : [])];
  inside(other, ...command);
  const limit = get("limits").find((one) => one.pod === name);
  write(name, {});
  await until("no limit", () => get("limits").length === 0);
  expect(limit?.measured).toBeGreaterThan(20e6 * 0.9);
  expect(limit?.measured).toBeLessThan(20e6 * 1.05);
});

test("killed -9, the agent leaves taps and rules in force", async () => {
  write("web", { bandwidth: "8 kbits egress" });
  await until("limit in force", () => get("limits").some(({ effective }) => effective === 8000));
  const pins = () => readdirSync(join(folder, "bpf/weir/n1/links")).filter((pin) => pin.startsWith("%tap"));
  expect(pins()).toHaveLength(6);
  agent?.kill("SIGKILL");
  await sleep(200);
  expect(pins()).toHaveLength(6);
  // each is a second of the rate
  const command = `ping -q -s 1000 -i 0.02 -w 3 -c 40 ${address("peer", 4)} || :`;
  expect(Number(/(\d+) received/.exec(inside("web", "sh", "-c", command))?.[1])).toBeLessThan(20);
});
