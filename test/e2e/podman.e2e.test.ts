import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mountBpffs, namespacePath, unmountBpffs } from "../../src/kernel/index.ts";
import { binomialTest } from "../../src/model/statistics.ts";
import { ChainedNode, pingCommand, received } from "./chained.ts";
import { Podman } from "./podman.ts";

/** Containers on a bridge that podman creates, on a node with an agent in mode `chained`. */
const CONTAINERS = {
  web: { 4: "10.89.3.10", 6: "fd89:3::10" },
  peer: { 4: "10.89.3.11", 6: "fd89:3::11" },
} as const;
type Name = keyof typeof CONTAINERS;
const UNLIKELY = 1e-4;
let node: ChainedNode;
let podman: Podman;
const bpffs = (): string => join(node.folder, "bpf");

const inside = (name: Name, ...command: string[]): string =>
  node.run([`--net=/proc/${podman.inspect(name).pid}/ns/net`], command);
const ping = (from: Name, to: string, count: number): number => received(inside(from, ...pingCommand(to, count)));

beforeAll(async () => {
  node = new ChainedNode("pm", () => podman.enter);
  mountBpffs(bpffs()); // Mounted before podman's mount namespace exists: mounted only in that, it would end with the agent.
  podman = new Podman(join(node.folder, "podman"), namespacePath(node.namespace("node")));
  await podman.open();
  podman.run("network", "create", "--disable-dns", "--subnet", "10.89.3.0/24", "--subnet", "fd89:3::/64", "net");
  for (const [name, addresses] of Object.entries(CONTAINERS)) {
    podman.start(name, "net", addresses);
    node.ips.set(name, podman.inspect(name).ips);
    node.write(name, {});
  }
  await node.start(2);
});
afterAll(async () => {
  await node?.stop("SIGTERM");
  await podman?.close();
  unmountBpffs(bpffs());
  await node?.close();
});

test.each(["egress", "ingress"] as const)("loss %s of a container, both families", async (direction) => {
  expect(ping("web", node.address("peer", 4), 20)).toBe(20);
  node.write("web", { loss: `uniform ${direction} 30%` });
  await node.until("loss in force", () =>
    node.get("impairments").some((one) => one.direction === direction && one.state === "active"),
  );
  for (const family of [4, 6] as const) {
    const lost = 200 - ping("web", node.address("peer", family), 200);
    expect(binomialTest(lost, 200, 0.3)).toBeGreaterThan(UNLIKELY);
  }
  node.write("web", {});
  await node.until("no loss", () => node.get("impairments").length === 0);
});

test.each(["egress", "ingress"] as const)("a container is limited to 20 Mbit/s (%s)", async (direction) => {
  node.write("web", { bandwidth: `20 mbps ${direction}` });
  await node.until("limit in force", () =>
    node.get("limits").some((one) => one.direction === direction && one.effective === 20e6),
  );
  await node.serve((...command) => inside("web", ...command));
  const reverse = direction === "egress" ? ["-R"] : [];
  inside("peer", "iperf3", "-c", node.address("web", 4), "-t", "2", "--json", ...reverse);
  const [limit] = node.get("limits");
  expect(limit?.measured).toBeGreaterThan(20e6 * 0.4);
  expect(limit?.measured).toBeLessThan(20e6 * 1.25);
});

test("a restarted container's rules apply to its new device; at the end podman's network is unchanged", async () => {
  node.write("web", { loss: "uniform egress 100%" });
  await node.until("loss in force", () => node.get("impairments").some(({ state }) => state === "active"));
  expect(ping("web", node.address("peer", 4), 5)).toBe(0);
  const netns = () => node.run([], ["readlink", `/proc/${podman.inspect("web").pid}/ns/net`]);
  const before = netns();
  podman.run("restart", "--time", "0", "web");
  expect([netns() === before, podman.inspect("web").ips]).toEqual([false, node.ips.get("web")]);
  const lost = node.get("impairments")[0]?.lost ?? 0;
  await node.until("loss in force again", () => ping("web", node.address("peer", 4), 2) === 0);
  for (const family of [4, 6] as const) expect(ping("web", node.address("peer", family), 20)).toBe(0);
  expect(node.get("impairments")[0]?.lost).toBeGreaterThanOrEqual(lost + 40);
  await node.stop("SIGTERM");
  expect(node.left()).toEqual([]);
  for (const family of [4, 6] as const) expect(ping("web", node.address("peer", family), 20)).toBe(20);
});
