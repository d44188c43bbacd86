import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LoneNode } from "./lone.ts";

/**
 * Less than the 50 s after which the agent compares its state with the kernel anyway: without notifications most of
 * these tests fail.
 */
const SOON = { timeout: 40_000, interval: 20 };

const nodeOf = (name: string, address: string, ...podCIDRs: string[]) => ({
  ...{ apiVersion: "v1", kind: "Node", metadata: { name } },
  ...{ spec: { podCIDRs }, status: { addresses: [{ type: "InternalIP", address }] } },
});

const world = new LoneNode("mend", ["192.0.2.1/24", "fd00:192::1/64"]);
let a: readonly string[];
let b: readonly string[];
const reaches = (from: string, to: string | undefined): boolean => {
  try {
    world.run(from, "ping", "-n", "-q", "-c", "1", "-W", "1", to ?? "");
    return true;
  } catch {
    return false;
  }
};
const all = () => [...a.map((ip) => reaches("b", ip)), ...b.map((ip) => reaches("a", ip)), reaches("node", a[0])];
const EVERY = [true, true, true, true, true];
const routes = () => world.ip("node", "route", "show", "proto", "119");
const problems = async () =>
  (await world.client.list("problems")).map(({ object, message }) => `${object}: ${message}`);
const state = async () => (await world.client.status()).state;

beforeAll(async () => {
  world.write("n1", nodeOf("n1", "192.0.2.1", "10.244.1.0/24", "fd00:10:244:1::/64"));
  world.write("n2", nodeOf("n2", "192.0.2.2", "10.244.2.0/24", "fd00:10:244:2::/64"));
  for (const pod of ["a", "b"]) world.add(pod);
  for (const name of ["node", "b"]) world.run(name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1");
  await world.start();
  a = await world.pod("a");
  b = await world.pod("b");
});
afterAll(() => world.close());

test("a node and a pod have both families even if IPv6 is disabled for new devices", () => {
  expect(b).toHaveLength(2);
  expect(all()).toEqual(EVERY);
});

describe("changes by others on the node are repaired at once", () => {
  test.each([
    ["the tunnel's device", ["link", "del", "weir_vxlan"]],
    ["the host's device", ["link", "del", "weir_host"]],
    ["the host's device, set down", ["link", "set", "weir_host", "down"]],
    ["the host's MAC address", ["link", "set", "weir_host", "address", "02:00:00:00:00:99"]],
    ["the panel's MTU", ["link", "set", "weir_panel", "mtu", "1300"]],
    ["all routes", ["route", "flush", "proto", "119"]],
    ["all routes of IPv6", ["-6", "route", "flush", "proto", "119"]],
  ])("%s", async (_, damage) => {
    const links = () => world.ip("node", "-o", "link").matchAll(/ (weir_\w+)[@:].* mtu (\d+)/g);
    const mtus = () => [...links()].map(([, name, mtu]) => `${name} ${mtu}`).toSorted();
    const look = () => [mtus(), routes(), world.ip("node", "-6", "route", "show", "proto", "119")];
    const before = look();
    expect(before[0]).toEqual(expect.arrayContaining(["weir_host 1450", "weir_panel 1450", "weir_vxlan 1450"]));
    world.ip("node", ...damage);
    await expect.poll(look, SOON).toEqual(before);
    await expect.poll(all, SOON).toEqual(EVERY);
    await expect.poll(state, SOON).toBe("ready");
  });

  test("Weir's own changes cause no further pass", async () => {
    await world.pod("a");
    const { observed } = await world.client.status();
    await sleep(600); // The test waits to see that nothing happens.
    expect((await world.client.status()).observed).toMatchObject({ writes: observed.writes });
    expect((await world.client.status()).observed.generation - observed.generation).toBeLessThanOrEqual(1);
  });

  test("the queues of limits", async () => {
    const annotations = { "kubernetes.io/egress-bandwidth": "10M" };
    const spec = { nodeName: "n1", containers: [{ name: "c", image: "example.test/c:1" }] };
    const metadata = { name: "a", namespace: "default", uid: "u-a", annotations };
    world.write("a", { apiVersion: "v1", kind: "Pod", metadata, spec });
    const tree = () =>
      world
        .run("node", "tc", "qdisc", "show", "dev", "weir_shape0")
        .replaceAll(/ (refcnt|direct_packets_stat) \d+/g, "");
    await expect.poll(tree, SOON).not.toContain("noqueue");
    await world.pod("a"); // A full pass later.
    const before = tree();
    world.run("node", "tc", "qdisc", "del", "dev", "weir_shape0", "root");
    await expect.poll(tree, SOON).toBe(before);
    world.remove("a");
  });
});

describe("a pod's end", () => {
  test("that was set down and up gets its addresses and routes again", async () => {
    for (const change of ["down", "up"]) world.ip("a", "link", "set", "eth0", change);
    await expect.poll(all, SOON).toEqual(EVERY);
    expect(world.ip("a", "-6", "addr", "show", "dev", "eth0")).toContain(a[1]);
  });

  test("that is set down stays down, and is complete when the pod sets it up", async () => {
    world.ip("a", "link", "set", "eth0", "down");
    await sleep(600); // The test waits to see that nothing happens.
    expect(world.ip("a", "-br", "link", "show", "eth0")).toContain("DOWN");
    expect(await state()).toBe("ready");
    world.ip("a", "link", "set", "eth0", "up");
    await expect.poll(all, SOON).toEqual(EVERY);
  });

  test("keeps a default route that the pod added", async () => {
    world.ip("a", "link", "set", "eth0", "down");
    world.ip("a", "link", "set", "eth0", "up");
    world.ip("a", "route", "replace", "blackhole", "default");
    await expect.poll(() => world.ip("a", "route", "show", "proto", "119"), SOON).toContain("10.244.1.1");
    expect(world.ip("a", "route", "show", "default")).toContain("blackhole");
    world.ip("a", "route", "del", "blackhole", "default");
  });

  test("is restored by an identical PUT of its endpoint", async () => {
    for (const family of ["-4", "-6"]) world.ip("a", family, "addr", "flush", "dev", "eth0", "scope", "global");
    world.ip("a", "route", "flush", "dev", "eth0");
    world.ip("a", "link", "set", "eth0", "down");
    world.run("a", "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1");
    expect(await world.pod("a")).toEqual(a);
    expect(all()).toEqual(EVERY);
  });
});

describe("other nodes' claims", () => {
  afterAll(() => world.remove("thief"));

  test.each([
    ["0.0.0.0/0", "outside of the cluster's pods' networks"],
    ["10.96.0.0/12", "outside of the cluster's pods' networks"],
    ["10.244.1.0/24", "is already Node/n1's"],
    ["10.244.2.0/24", "is already Node/n2's"],
  ])("%s is refused, with both nodes named, and changes no route", async (cidr, reason) => {
    const before = routes();
    world.write("thief", nodeOf("thief", "192.0.2.66", cidr));
    await expect.poll(problems, SOON).toContainEqual(expect.stringContaining(`Node/thief: ${cidr} `));
    expect((await problems()).join()).toContain(reason);
    expect(routes()).toBe(before);
    expect(world.ip("node", "route", "show", "default")).toBe("");
  });

  test("a foreign route to the same network stays, and the status names it until it is removed", async () => {
    world.ip("node", "route", "add", "10.244.3.0/24", "dev", "eth0");
    world.write("thief", nodeOf("thief", "192.0.2.66", "10.244.3.0/24"));
    await expect.poll(state, SOON).toBe("degraded");
    expect((await problems()).join()).toContain(
      "add route 10.244.3.0/24 on device weir_host: another route to it exists",
    );
    expect(world.ip("node", "route", "show", "10.244.3.0/24")).toMatch(/^10.244.3.0\/24 dev eth0 scope link/);
    world.ip("node", "route", "del", "10.244.3.0/24");
    await expect.poll(state, SOON).toBe("ready");
    expect(world.ip("node", "route", "show", "10.244.3.0/24")).toContain("dev weir_host proto 119");
    world.ip("node", "route", "replace", "10.244.3.0/24", "dev", "eth0"); // Removes Weir's own route.
    await expect.poll(state, SOON).toBe("degraded");
    world.write("thief", nodeOf("thief", "192.0.2.66"));
    await expect.poll(state, SOON).toBe("ready");
    expect(world.ip("node", "route", "show", "10.244.3.0/24")).toMatch(/^10.244.3.0\/24 dev eth0 scope link/);
  });
});

describe("the node's address changes", () => {
  test("the node and its pods reach each other before the Node object is updated", async () => {
    world.ip("node", "addr", "del", "192.0.2.1/24", "dev", "eth0");
    world.ip("node", "addr", "add", "192.0.2.11/24", "dev", "eth0");
    await expect.poll(routes, SOON).toMatch(/10\.244\.1\.0\/24 dev weir_host .*src 192\.0\.2\.11/);
    await expect.poll(all, SOON).toEqual(EVERY);
    expect(reaches("a", "192.0.2.11")).toBe(true);
    expect((await problems()).join()).toContain(
      "other nodes reach this node at 192.0.2.1, but its address is 192.0.2.11",
    );
  });

  test("the warning ends when the Node object is updated", async () => {
    world.write("n1", nodeOf("n1", "192.0.2.11", "10.244.1.0/24", "fd00:10:244:1::/64"));
    await expect.poll(async () => (await problems()).join(), SOON).not.toContain("Node/n1");
    expect(await state()).toBe("ready");
    expect(routes()).not.toContain("src 192.0.2.1 ");
  });

  test("a Node object updated first takes effect with the address", async () => {
    world.write("n1", nodeOf("n1", "192.0.2.12", "10.244.1.0/24", "fd00:10:244:1::/64"));
    await expect.poll(problems, SOON).toContainEqual(expect.stringContaining("its address is 192.0.2.11"));
    world.ip("node", "addr", "add", "192.0.2.12/24", "dev", "eth0");
    await expect.poll(routes, SOON).toMatch(/10\.244\.1\.0\/24 dev weir_host .*src 192\.0\.2\.12/);
    expect(all()).toEqual(EVERY);
  });

  test("the MTU follows the uplink's", async () => {
    world.ip("node", "link", "set", "eth0", "mtu", "1400");
    await expect.poll(() => world.ip("a", "link", "show", "eth0"), SOON).toContain("mtu 1350");
    expect(await state()).toBe("ready");
  });

  test("without an uplink the node keeps its address and MTU, and reports it", async () => {
    world.ip("node", "link", "set", "eth0", "name", "gone0");
    await expect.poll(state, SOON).toBe("degraded");
    expect((await problems()).join()).toContain("no device eth0");
    expect(reaches("a", b[0])).toBe(true);
    world.ip("node", "link", "set", "gone0", "name", "eth0");
    await expect.poll(state, SOON).toBe("ready");
  });
});
