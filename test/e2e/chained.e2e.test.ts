import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Traffic } from "../../src/cli/traffic.ts";
import { namespacePath } from "../../src/kernel/index.ts";
import { binomialTest } from "../../src/model/statistics.ts";
import { ChainedNode, received } from "./chained.ts";

/** Pods of the reference plugins on a node in mode `chained`: web and peer on a bridge, far on a ptp link. */
const PODS = { web: "bridge", peer: "bridge", far: "ptp" } as const;
const SUBNETS = {
  bridge: ["10.89.1.0/24", "fd89:1::/64"],
  ptp: ["10.89.2.0/24", "fd89:2::/64"],
  late: ["10.89.4.0/24", "fd89:4::/64"],
} as const;
const PLUGINS = "/usr/lib/cni";
const UNLIKELY = 1e-4;
let node: ChainedNode;

/** Calls a CNI plugin as a runtime does: configuration on stdin, the rest in the environment. */
function addToNetwork(name: string, network: keyof typeof SUBNETS): readonly string[] {
  const type = network === "ptp" ? "ptp" : "bridge";
  const config = {
    ...{ cniVersion: "0.4.0", name: network, type, bridge: `br-${network}`, isGateway: true },
    ipam: {
      ...{ type: "host-local", dataDir: join(node.folder, "ipam") },
      ranges: SUBNETS[network].map((subnet) => [{ subnet }]),
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    },
  };
  const out = execFileSync("nsenter", [`--net=${namespacePath(node.namespace("node"))}`, join(PLUGINS, type)], {
    encoding: "utf8",
    input: JSON.stringify(config),
    env: {
      ...{ CNI_COMMAND: "ADD", CNI_CONTAINERID: node.namespace(name), CNI_NETNS: namespacePath(node.namespace(name)) },
      ...{ CNI_IFNAME: "eth0", CNI_PATH: PLUGINS },
    },
  });
  return (JSON.parse(out) as { ips: { address: string }[] }).ips.map(({ address }) => address.replace(/\/.*/, ""));
}

beforeAll(async () => {
  node = new ChainedNode("ch");
  for (const [name, network] of Object.entries(PODS)) {
    node.add(name);
    node.ips.set(name, addToNetwork(name, network));
    node.write(name, {});
  }
  await node.start(3);
});
afterAll(() => node?.close());

test("nothing is lost without rules", () => {
  for (const family of [4, 6] as const) {
    expect(node.ping("web", node.address("peer", family), 20)).toBe(20);
    expect(node.ping("far", node.address("web", family), 20)).toBe(20);
  }
});

describe.each([
  ["web", "peer"],
  ["far", "web"],
] as const)("%s, a pod of a reference plugin", (name, other) => {
  test.each(["egress", "ingress"] as const)("loss %s, both families", async (direction) => {
    node.write(name, { loss: `uniform ${direction} 30%` });
    await node.until("loss in force", () =>
      node.get("impairments").some((one) => one.pod === name && one.direction === direction && one.state === "active"),
    );
    for (const family of [4, 6] as const) {
      const lost = 200 - node.ping(name, node.address(other, family), 200);
      expect(binomialTest(lost, 200, 0.3)).toBeGreaterThan(UNLIKELY);
    }
    node.write(name, {});
    await node.until("no loss", () => node.get("impairments").length === 0);
    expect(node.ping(name, node.address(other, 4), 20)).toBe(20);
  });
});

test.each([
  ["web", "peer", "ingress"],
  ["web", "peer", "egress"],
  ["far", "web", "egress"],
] as const)("%s is held at 20 Mbit/s (%s, %s)", async (name, other, direction) => {
  node.write(name, { bandwidth: `20 mbps ${direction}` });
  await node.until("limit in force", () =>
    node.get("limits").some((one) => one.pod === name && one.effective === 20e6),
  );
  await node.serve((...command) => node.inside(name, ...command));
  const command = [
    "iperf3",
    "-c",
    node.address(name, 4),
    "-t",
    "2",
    "--json",
    ...(direction === "egress" ? ["-R"] : []),
  ];
  node.inside(other, ...command);
  const limit = node.get("limits").find((one) => one.pod === name);
  node.write(name, {});
  await node.until("no limit", () => node.get("limits").length === 0);
  expect(limit?.measured).toBeGreaterThan(20e6 * 0.4);
  expect(limit?.measured).toBeLessThan(20e6 * 1.25);
});

describe("program, loss and limit of one pod on the bridge", () => {
  const ofWeb = (kind: string) => node.get(kind).find((one) => one.pod === "web");
  beforeAll(async () => {
    node.write("web", {
      "ebpf-limit": "drop-one-of egress -DN=10",
      loss: "uniform egress 20%",
      bandwidth: "50 mbps egress",
    });
    await node.until("all in force", () => {
      const isActive = ["programs", "impairments"].every((kind) => ofWeb(kind)?.state === "active");
      return isActive && ofWeb("limits")?.effective === 50e6;
    });
  });

  test("they act in the declared order, each with its own counters", async () => {
    const before = { program: ofWeb("programs"), impairment: ofWeb("impairments") };
    const netns = namespacePath(node.namespace("web"));
    const traffic = new Traffic(
      ([4, 6] as const).map((family) => ({ netns, to: node.address("peer", family), port: 9 })),
    );
    await sleep(3000);
    const limit = ofWeb("limits");
    await traffic.stop();
    await sleep(300);
    const [program, impairment] = [ofWeb("programs"), ofWeb("impairments")];
    expect(program).toMatchObject({ effective: "drop-one-of -DN=10", state: "active", reason: null });
    const { packets = 0, dropped = 0 } = program ?? {};
    expect(packets).toBeGreaterThan(1000);
    expect(dropped).toBe(Math.floor(packets / 10));
    // The loss counts the packets that the program passed; a pod may send packets by itself between two readings.
    const passed = packets - dropped - ((before.program?.packets ?? 0) - (before.program?.dropped ?? 0));
    const met = (impairment?.packets ?? 0) - (before.impairment?.packets ?? 0);
    expect(Math.abs(met - passed)).toBeLessThan(5);
    expect(binomialTest(impairment?.lost ?? 0, impairment?.packets ?? 1, 0.2)).toBeGreaterThan(UNLIKELY);
    expect(limit).toMatchObject({ direction: "egress", effective: 50e6 });
    expect(limit?.measured).toBeGreaterThan(50e6 * 0.4);
    expect(limit?.measured).toBeLessThan(50e6 * 1.25);
    const drops = node.get("drops").filter((one) => one.owner === "default/web" && one.direction === "egress");
    const counted = Object.fromEntries(drops.map((one) => [one.reason, one.packets]));
    expect(counted).toMatchObject({ custom: dropped, impaired: expect.any(Number) });
    expect(counted["impaired"]).toBeGreaterThanOrEqual(impairment?.lost ?? 0);
  });

  test("ports, chains and topology show the tap", () => {
    const device = node.get("pods").find(({ name }) => name === "web")?.device ?? "";
    const chains = node.get("chains").filter(({ owner }) => owner === "default/web");
    expect(chains.map(({ direction, hops }) => [direction, hops?.map((hop) => hop.function)])).toEqual([
      ["ingress", ["custom", "impair", "limit"]],
    ]);
    expect(node.get("ports").find(({ name }) => name === `tap:${device}`)).toMatchObject({
      ...{ owner: "default/web", function: "tap", state: "up", device },
    });
    const [topology] = node.get("topology");
    expect(topology?.spec?.ports).toContainEqual(expect.objectContaining({ name: device, entry: device }));
    node.write("web", {});
  });
});

test("pods on a bridge created after the agent's start are found, and probes from its address are exempt", async () => {
  node.add("late");
  node.ips.set("late", addToNetwork("late", "late"));
  node.write("late", { loss: "uniform ingress 100%" });
  await node.until("loss in force", () =>
    node.get("impairments").some((one) => one.pod === "late" && one.state === "active"),
  );
  for (const family of [4, 6] as const) {
    expect(node.ping("node", node.address("late", family), 20)).toBe(20);
    expect(node.ping("web", node.address("late", family), 20)).toBe(0);
  }
  rmSync(join(node.folder, "manifests/late.json"));
  await node.until("no fourth pod", () => node.get("pods").length === 3);
  expect(node.ping("web", node.address("late", 4), 20)).toBe(20);
});

test("an agent killed with -9 leaves taps and rules in force; the next agent adopts them, and removes them at its end", async () => {
  node.write("web", { bandwidth: "8 kbits egress" });
  await node.until("limit in force", () => node.get("limits").some(({ effective }) => effective === 8000));
  expect(node.pins()).toHaveLength(6);
  await node.stop("SIGKILL");
  expect(node.pins()).toHaveLength(6);
  // Each command sends for a second at the limit's rate.
  const command = ["sh", "-c", `ping -q -s 1000 -i 0.02 -w 3 -c 40 ${node.address("peer", 4)} || :`];
  expect(received(node.inside("web", ...command))).toBeLessThan(20);
  await node.start(3);
  expect(node.get("limits")).toMatchObject([{ pod: "web", effective: 8000 }]);
  expect(node.left()).not.toEqual([]);
  await node.stop("SIGTERM");
  expect([node.pins(), node.left()]).toEqual([[], []]);
  expect(node.ping("web", node.address("peer", 4), 20)).toBe(20);
});

test("weir uninstall removes what a killed agent left, and pods keep their network", async () => {
  await node.start(3);
  await node.stop("SIGKILL");
  expect(node.left()).not.toEqual([]);
  node.uninstall();
  expect([node.pins(), node.left()]).toEqual([[], []]);
  for (const family of [4, 6] as const) expect(node.ping("far", node.address("web", family), 20)).toBe(20);
});
