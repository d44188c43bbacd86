import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { limitInstance } from "../functions/limit/limit.ts";
import {
  acceptsVni,
  findLink,
  formatHandle,
  hasOffloads,
  hasQdisc,
  links,
  openBpfLink,
  qdiscs,
  readSysctl,
  routes,
  TC_ROOT,
} from "../kernel/index.ts";
import { DELAY } from "../model/panel.ts";
import { BLOCK, PLACE, SETS } from "../model/shape.ts";
import { NEAR } from "./near.ts";
import { blockOf } from "./shaper-classes.ts";
import { idKey } from "./tables.ts";
import { KernelNode, limitOf } from "./testing/kernel-node.ts";

let node: KernelNode;
beforeAll(() => {
  node = new KernelNode();
  node.listen();
});
afterAll(() => node?.close());

const FQ = hasQdisc("fq");
const limits = new Map([["ns/a", [limitOf("egress", 10e6)]]]);
const wanted = () => ({ limits, node: { ...node.context, fq: FQ } });
const endQueue = (name: string) => () => node.run("node", "tc", "qdisc", "del", "dev", name, "root");
const device = () => node.endpoints[0]?.device ?? "";
const del = (name: string) => () => node.ip("link", "del", name);

const tc = (what: string, how: string, where: string, ...rest: string[]) =>
  node.run("node", "tc", what, how, "dev", "weir_shape0", where, ...rest);
/** The class at a place in the block of pod a's limit, as tc names it. */
const ofLimit = (place: number): string =>
  formatHandle(blockOf(node.panel.names.id("shaper", limitInstance(device(), "egress"))) + place);
const leaves = () => node.shaped().filter(({ handle }) => (handle & 0xffff) % BLOCK >= SETS[0]).length;

/** The devices, routes and classes that the datapath has created. */
const state = () =>
  node.inNode(() => ({
    links: links()
      .map(({ name, up, mtu }) => `${name} ${up} ${mtu}`)
      .toSorted(),
    routes: routes()
      .map(({ cidr, protocol }) => `${cidr} ${protocol}`)
      .toSorted(),
    classes: node
      .shaped()
      .map(({ handle, rate, queue }) => [handle, rate, queue].join(" "))
      .toSorted(),
    fq: FQ ? qdiscs(undefined, DELAY.device).find(({ parent }) => parent === TC_ROOT)?.kind : "none",
  }));

beforeEach(async () => {
  node.apply(wanted());
  await expect.poll(() => node.pass().writes + node.datapath.pending).toBe(0);
});

test.each<readonly [string, () => void]>([
  ["a pod's device", () => node.ip("link", "del", device())],
  ["a device that is set down", () => node.ip("link", "set", device(), "down")],
  ["another MTU", () => node.ip("link", "set", device(), "mtu", "1300")],
  ["a pair's far end that is set down", () => node.ip("link", "set", "weir_panel", "down")],
  ["the tunnel's device", del("weir_vxlan")],
  ["a pair with routes", del("weir_host")],
  ["the splitting pair", del("weir_split0")],
  ["routes of IPv4", () => node.ip("route", "flush", "proto", "119")],
  ["routes of IPv6", () => node.ip("-6", "route", "flush", "proto", "119")],
  ["the shaping device's classes", endQueue("weir_shape0")],
  ...(FQ ? [["the delaying device's queue", endQueue(DELAY.device)] as const] : []),
  ["the shaping pair", del("weir_shape0")],
  ...(["weir_vxlan", "weir_host", "weir_panel", "weir_shape1"] as const).map(
    (name) => [`${name} that is renamed`, () => node.ip("link", "set", name, "name", "foreign")] as const,
  ),
  ["a pod's device that is renamed", () => node.ip("link", "set", device(), "name", "foreign")],
  ["a class of a limit", () => tc("class", "del", "classid", ofLimit(PLACE.first))],
  ["the last leaf of a limit", () => tc("class", "del", "classid", ofLimit(SETS[0] + leaves() - 1))],
  ["a leaf of a limit among others", () => tc("class", "del", "classid", ofLimit(SETS[0] + 1))],
  ["a leaf's queue", () => tc("qdisc", "del", "parent", ofLimit(SETS[0]))],
  ["a leaf's queue that another replaces", () => tc("qdisc", "replace", "parent", ofLimit(SETS[0]), "pfifo")],
])("a change that the kernel notifies of is repaired: %s", async (_, damage) => {
  const before = state();
  node.heard = [];
  damage();
  expect(state()).not.toEqual(before);
  await expect.poll(() => node.heard.length).toBeGreaterThan(0);
  expect([node.datapath.pending > 0, node.datapath.retryIn]).toEqual([true, 0]);
  await expect
    .poll(() => {
      node.pass();
      return state();
    })
    .toEqual(before);
  expect(node.failed).toEqual([]);
  expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  expect(node.ping("node", "10.244.1.2")).toContain("2 received");
  expect(node.inNode(() => findLink("weir_shape0")?.mtu)).toBe(1450);
});

const empty = (name: string) => () => {
  const table = node.panel.table(name);
  const rows = table.entries().map(([key]) => key);
  expect(rows.length).toBeGreaterThan(0);
  table.remove(rows);
};

/** Removes all rows of a map that is no table of rows. */
const clear = (name: string): void => {
  const { map } = node.panel.table(name);
  for (const [key] of map.entries()) map.delete(key);
};
/** Has a device lead to a port. */
const lead = (name: string, port: string): void => {
  const { key, value, map } = node.panel.table("weir_devices");
  const ifindex = node.inNode(() => findLink(name)?.ifindex);
  map.update(key.encode({ ifindex, gen: 1 }), value.encode({ port: node.panel.names.id("port", port) }));
};
/** The same in the array, whose row another device may have. */
const leadNear = (name: string, port: string, other = 0): void => {
  const { value, map } = node.panel.table("weir_near");
  const ifindex = node.inNode(() => findLink(name)?.ifindex ?? 0) + other;
  const row = { ifindex, port: node.panel.names.id("port", port) };
  for (const gen of [0, 1]) map.update(idKey((ifindex % NEAR) * 2 + gen), value.encode(row));
};
const ipv6 = (name: string) => node.run("node", "sysctl", "-qw", `net.ipv6.conf.${name}.disable_ipv6=0`);
const pinned = () => readdirSync(node.panel.own, { recursive: true }).length;
const held = () =>
  ["weir_courses", "weir_devices", "weir_near", "weir_functions", "weir_config"].map((name) =>
    node.panel.table(name).digest(),
  );
const settings = () =>
  node.inNode(() => {
    const silent = ["weir_shape0", device()].map((name) => readSysctl(`net/ipv6/conf/${name}/disable_ipv6`));
    const offloads = hasOffloads("weir_split0", ["segmentation", "txChecksum"]);
    return [...silent, offloads, acceptsVni("weir_vxlan", 1), state().classes];
  });

test.each([
  ["rows of functions", empty("weir_rt_hosts")],
  ["rows of rules", empty("weir_limits")],
  ["the panel's devices", empty("weir_devices")],
  ["the array of devices", empty("weir_near")],
  ["a device of the array that leads to another port", () => leadNear(device(), "router:host")],
  ["the panel's hops", empty("weir_hops")],
  ["the panel's near devices", empty("weir_near")],
  ["courses of packets that wait", empty("weir_courses")],
  ["the panel's configuration", empty("weir_config")],
  ["another port's device", () => lead("lo", "router:host")],
  ["slots of programs", () => clear("weir_functions")],
  ["names", empty("weir_names")],
  ["a map's pin", () => rmSync(join(node.panel.own, "maps", "weir_rt_hosts"))],
  ["pins of the panel's programs", () => rmSync(join(node.panel.own, "programs"), { recursive: true })],
  ["a setting of the node's device", () => ipv6("weir_shape0")],
  ["a setting of a pod's device", () => ipv6(device())],
  ["offloads of the splitting pair", () => node.run("node", "ethtool", "-K", "weir_split0", "tx", "on", "tso", "on")],
  ["the rate of a limit", () => tc("class", "change", "classid", ofLimit(PLACE.parent), "htb", "rate", "1mbit")],
  ["the rate of a leaf", () => tc("class", "change", "classid", ofLimit(SETS[0]), "htb", "rate", "1mbit")],
  [
    "the VNI of the tunnel's device",
    () => node.run("node", "bridge", "vni", "delete", "vni", "1", "dev", "weir_vxlan"),
  ],
  ["a program that is detached", () => openBpfLink(join(node.root, "links", device())).detach()],
  ["a program's pin", () => rmSync(join(node.root, "links", device()))],
])("a change without a notification is repaired by a scrub: %s", (_, damage) => {
  const whole = [held(), settings(), pinned()];
  damage();
  expect(node.pass().writes).toBe(0);
  const before = pinned();
  expect(node.scrub() + pinned() - before).toBeGreaterThan(0);
  expect(node.scrub()).toBe(0);
  expect([held(), settings(), pinned()]).toEqual(whole);
  expect(node.failed).toEqual([]);
  expect(node.ping("a", "10.244.1.3")).toContain("2 received");
});

test.each([
  ["that the array does not have", empty("weir_near")],
  ["whose row in the array another device has", () => leadNear(device(), "router:host", NEAR)],
])("a device %s is found all the same", (_, damage) => {
  damage();
  expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  expect(node.scrub()).toBeGreaterThan(0);
});

test("a foreign route is never replaced; Weir's is added once it is gone", async () => {
  const cidr = "10.244.2.0/24";
  const other = { metadata: { name: "n2", labels: {}, annotations: {} }, addresses: ["192.0.2.2"], podCIDRs: [cidr] };
  node.ip("route", "add", cidr, "dev", "lo", "proto", "static");
  const change = { ...wanted(), nodes: [{ kind: "Node" as const, ...other }] };
  expect(node.apply(change).failed).toEqual(["peers n2 kernel"]);
  expect(node.ip("route", "show", cidr)).toContain("proto static");
  node.ip("route", "del", cidr);
  await expect.poll(() => node.pass().failed).toEqual([]); // notifications arrive asynchronously
  expect(node.ip("route", "show", cidr)).toContain("proto 119");
});

test("a map whose pin was removed while no agent ran is made again, and everything is in force", () => {
  rmSync(join(node.panel.own, "maps", "weir_rt_hosts"));
  node.restart();
  expect(node.apply(wanted()).failed).toEqual([]);
  expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  expect(node.ping("node", "10.244.1.2")).toContain("2 received");
});
