import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ethernet, ip, udp } from "../../test/packets.ts";
import { Datapath } from "../datapath/datapath.ts";
import { Panel } from "../datapath/panel.ts";
import { idKey } from "../datapath/tables.ts";
import { GATEWAY_MAC } from "../functions/router/names.ts";
import {
  classes,
  createNamespace,
  findLink,
  inNamespace,
  links,
  mountBpffs,
  namespacePath,
  removeNamespace,
  routes,
} from "../kernel/index.ts";
import { type ClusterState, type Endpoint, emptyState } from "../model/cluster.ts";
import { podDevice } from "../model/ipam.ts";
import type { LimitRule } from "../model/limits.ts";
import { panelRoot } from "./paths.ts";
import { functions, plan } from "./plan.ts";
import { removeNode } from "./uninstall.ts";
import { dropItems, sumCounts } from "./views/counters.ts";

const id = (name: string) => `weir-t${process.pid}-${name}`;
const folder = mkdtempSync(join(tmpdir(), "weir-datapath-"));
const bpffs = join(folder, "bpf");
const root = panelRoot(bpffs, "n1");
const objects = new URL("../../dist/bpf", import.meta.url).pathname;
const pods = ["a", "b"];

const endpoints: Endpoint[] = pods.map((name, index) => {
  const pod = { namespace: "ns", name, uid: name, netns: namespacePath(id(name)), ifname: "eth0" };
  return { ...pod, ...podDevice(pod), ips: [`10.244.1.${index + 2}`, `fd00:10:244:1::${index + 2}`] };
});
const limit = (direction: LimitRule["direction"], rate: number): LimitRule => ({
  direction,
  rate,
  source: "bandwidth",
  configured: "",
});

function state(change: Partial<ClusterState> = {}): ClusterState {
  const node = {
    name: "n1",
    overlay: "vxlan" as const,
    addresses: ["192.0.2.1"],
    podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
    uplink: "lo",
    mtu: 1450,
    vxlan: { port: 4789, vni: 1 },
  };
  return { ...emptyState(node), endpoints, ...change };
}

let datapath: Datapath;
const inNode = <T>(work: () => T): T => inNamespace(namespacePath(id("node")), work);
const open = (): Datapath =>
  inNode(() => {
    const panel = Panel.open({ root, objects, functions: functions.map((fn) => fn.name) });
    return new Datapath({ panel, tables: functions.flatMap((fn) => fn.tables) });
  });
const apply = (change?: Partial<ClusterState>) => inNode(() => datapath.apply(plan(state(change))));
const run = (pod: string, ...command: string[]) =>
  execFileSync("nsenter", [`--net=${namespacePath(id(pod))}`, ...command], { encoding: "utf8" });
const ping = (from: string, to: string) => run(from, "ping", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "1", to);

beforeAll(() => {
  mountBpffs(bpffs);
  for (const name of ["node", ...pods]) createNamespace(id(name));
  execFileSync("ip", ["-n", id("node"), "link", "set", "lo", "up"]);
  execFileSync("ip", ["-n", id("node"), "addr", "add", "192.0.2.1/32", "dev", "lo"]);
  datapath = open();
});
afterAll(() => {
  datapath?.panel.close();
  for (const name of ["node", ...pods]) removeNamespace(id(name));
  execFileSync("umount", ["-l", bpffs]);
  rmSync(folder, { recursive: true, force: true });
});

/** HTB's classes: the bucket below a leaf shows one of its own. */
const shaped = () => classes("weir_shape0").filter(({ kind }) => kind === "htb");

describe("a node's datapath", () => {
  beforeEach(() => expect(apply().failures).toEqual([]));

  test("pods, gateway and host reach each other by both families", () => {
    for (const to of ["10.244.1.3", "fd00:10:244:1::3", "10.244.1.1", "fd00:10:244:1::1"]) {
      expect(ping("a", to)).toContain("2 received");
    }
    expect(ping("node", "10.244.1.2")).toContain("2 received");
  });

  test("what is in force costs no write: neither in a second pass, nor for a new agent", () => {
    expect(apply().writes).toBe(0);
    datapath.panel.close();
    datapath = open();
    expect(datapath.panel.writes).toBe(0);
    expect(apply()).toEqual({ failures: [], writes: 0 });
  });

  test("a row that the kernel does not hold is found lacking", () => {
    const { rows } = plan(state());
    expect(inNode(() => datapath.lacking(rows))).toBeUndefined();
    const hosts = datapath.panel.table("weir_rt_hosts");
    for (const [key] of hosts.entries()) hosts.remove([key]);
    expect(inNode(() => datapath.lacking(rows))).toMatchObject({ table: "weir_rt_hosts" });
    datapath.forget();
  });

  test("a limit is added, changed and removed; a change of rate touches its row and its parent class alone", () => {
    const [device] = endpoints.map((endpoint) => endpoint.device);
    const limited = (rate: number) => apply({ limits: new Map([["ns/a", [limit("egress", rate)]]]) });
    expect(limited(10e6).failures).toEqual([]);
    const id = datapath.panel.names.find("instance", `limit:${device}:egress`) ?? 0;
    const rates = () => inNode(() => shaped().map((one) => Number(one.htb?.rate)));
    // the parent's and that of sparse flows; leaves have none of their own
    const own = () => rates().filter((rate) => rate > 8);
    const charged = (rate: number) => Math.round((rate * 647) / 640 / 8) * 8;
    expect(own()).toEqual([charged(10e6), charged(10e6)]);
    expect(rates()).toHaveLength(2 + 21);
    const { active } = datapath.panel.generations;
    expect(limited(20e6)).toEqual({ failures: [], writes: 2 });
    expect(datapath.panel.generations.active).toBe(active);
    expect(own()).toEqual([charged(20e6), charged(20e6)]);
    expect(rates()).toHaveLength(2 + 21);
    expect(datapath.panel.names.find("instance", `limit:${device}:egress`)).toBe(id);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
    apply(); // drains …
    apply(); // … and goes
    expect(rates()).toEqual([]);
  });

  test("a pod that goes takes its device along, and the others do not notice", () => {
    expect(apply({ endpoints: endpoints.slice(0, 1) }).failures).toEqual([]);
    const own = inNode(() => links().filter((link) => /^weir[0-9a-f]{11}$/.test(link.name)));
    expect(own.map((link) => link.name)).toEqual([endpoints[0]?.device]);
    expect(ping("a", "10.244.1.1")).toContain("2 received");
  });

  test("another MTU in the configuration reaches the devices that are there", () => {
    const { node } = state();
    const mtus = () => inNode(() => new Map(links().map(({ name, mtu }) => [name, mtu])));
    expect(apply({ node: { ...node, mtu: 1400 } }).failures).toEqual([]);
    const devices = [...endpoints.map(({ device }) => device), "weir_host", "weir_panel", "weir_vxlan"];
    expect(devices.map((device) => mtus().get(device))).toEqual(devices.map(() => 1400));
    expect(run("a", "ip", "link", "show", "eth0")).toContain("mtu 1400");
    expect(apply({ node: { ...node, mtu: 1400 } }).writes).toBe(0);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("another tunnel port in the configuration is the device's, and the one closed to pods", () => {
    const { node } = state();
    const change = { node: { ...node, vxlan: { port: 8472, vni: 1 } } };
    expect(apply(change).failures).toEqual([]);
    expect(run("node", "ip", "-d", "link", "show", "weir_vxlan")).toMatch(/state UNKNOWN.*dstport 8472/s);
    expect(apply(change).writes).toBe(0);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("a native XDP program on a pod's device sees what is delivered, while it is there", () => {
    const object = join(folder, "drop.xdp.o");
    const source =
      '#define IN(s) __attribute__((section(s), used))\nIN("xdp") int drop(void *x) { return 1; }\nchar l[] IN("license") = "GPL";\n';
    execFileSync("clang", ["-O2", "-g", "-target", "bpf", "-x", "c", "-c", "-", "-o", object], { input: source });
    const reached = () => run("b", "sh", "-c", "ping -n -q -c 2 -i 0.05 -W 1 10.244.1.2; true");
    expect(reached()).toContain("2 received");
    run("a", "ip", "link", "set", "dev", "eth0", "xdpdrv", "obj", object, "sec", "xdp");
    expect(apply().failures).toEqual([]);
    expect(reached()).toContain("0 received");
    run("a", "ip", "link", "set", "dev", "eth0", "xdpdrv", "off");
    expect(apply().failures).toEqual([]);
    expect(reached()).toContain("2 received");
  });

  test("what comes out of the tunnel is of the configured network alone", () => {
    const posing = ip({ src: "10.244.2.9", dst: "10.244.1.2" }, udp({ sport: 53, dport: 53 }));
    const inner = ethernet({ src: "02:00:00:00:00:01", dst: GATEWAY_MAC }, posing);
    const receives = (vni: number): number => {
      const port = idKey(datapath.panel.names.id("port", "router:overlay"));
      const count = () =>
        sumCounts(datapath.panel.table("weir_ports").lookup(port) ?? Buffer.alloc(0), 32)[0]?.packets ?? 0;
      const before = count();
      const packet = Buffer.concat([Buffer.from([8, 0, 0, 0, 0, vni >> 8, vni & 255, 0]), inner]).toString("hex");
      const send = `const s = require("dgram").createSocket("udp4"); s.send(Buffer.from("${packet}", "hex"), 4789, "192.0.2.1", () => s.close())`;
      run("node", process.execPath, "-e", send);
      return count() - before;
    };
    expect([receives(1), receives(7), receives(0), receives(0xffff)]).toEqual([1, 0, 0, 0]);
    const { node } = state();
    const other = { node: { ...node, vxlan: { port: 4789, vni: 7 } } };
    expect(apply(other).failures).toEqual([]);
    expect([receives(1), receives(7)]).toEqual([0, 1]);
    expect(apply(other).writes).toBe(0);
  });

  test("a port that gets an id again starts with counters of its own", () => {
    const ports = datapath.panel.table("weir_ports");
    const port = datapath.panel.names.id("port", `router:${endpoints[1]?.device}`);
    execFileSync("ip", ["-n", id("b"), "addr", "add", "10.9.9.9/32", "dev", "eth0"]);
    expect(() => run("b", "ping", "-c", "1", "-W", "1", "-I", "10.9.9.9", "10.244.1.2")).toThrow();
    const items = () => dropItems(datapath.panel, new Set([`router:${endpoints[1]?.device}`]));
    const spoofed = () => items().filter(({ reason }) => reason === "spoofed");
    const total = () => spoofed().reduce((sum, { packets }) => sum + packets, 0);
    const before = total();
    expect(spoofed()).toContainEqual(
      expect.objectContaining({ port: `router:${endpoints[1]?.device}`, direction: "egress", packets: 1 }),
    );
    for (let round = 0; round < 2; round++) {
      expect(apply({ endpoints: endpoints.slice(0, 1) }).failures).toEqual([]);
      expect(total()).toBe(before);
      expect(spoofed()).toContainEqual(expect.objectContaining({ port: "gone", direction: null }));
      expect(apply().failures).toEqual([]);
    }
    expect(ports.lookup(idKey(port))?.every((byte) => byte === 0)).toBe(true);
    const own = () => items().filter((item) => item.port === `router:${endpoints[1]?.device}`);
    expect(own()).toEqual([]);
  });

  test.each([
    ["a pod's device", () => execFileSync("ip", ["-n", id("node"), "link", "del", endpoints[0]?.device ?? ""])],
    ["a pair's far end", () => execFileSync("ip", ["-n", id("node"), "link", "set", "weir_panel", "down"])],
    ["a route", () => execFileSync("ip", ["-n", id("node"), "route", "flush", "proto", "119"])],
    [
      "the shaping device's classes",
      () => execFileSync("tc", ["-n", id("node"), "qdisc", "del", "dev", "weir_shape0", "root"]),
    ],
    ["the shaping pair", () => execFileSync("ip", ["-n", id("node"), "link", "del", "weir_shape0"])],
    [
      "the panel's rows",
      () =>
        datapath.panel.table("weir_devices").remove(
          datapath.panel
            .table("weir_devices")
            .entries()
            .map(([key]) => key),
        ),
    ],
  ])("mends what others broke: %s", (_, damage) => {
    const limits = new Map([["ns/a", [limit("egress", 10e6)]]]);
    apply({ limits });
    damage();
    inNode(() => datapath.forget());
    expect(apply({ limits }).failures).toEqual([]);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
    expect(ping("node", "10.244.1.2")).toContain("2 received");
    expect(inNode(shaped)).toHaveLength(2 + 21);
    expect(inNode(() => findLink("weir_shape0")?.mtu)).toBe(1450);
  });

  test("a pod that renames its device harms itself alone", () => {
    const limits = new Map([["ns/a", [limit("egress", 10e6)]]]);
    apply({ limits });
    execFileSync("ip", ["-n", id("a"), "link", "set", "eth0", "down"]);
    execFileSync("ip", ["-n", id("a"), "link", "set", "eth0", "name", "mine"]);
    datapath.panel.close();
    datapath = open();
    expect(apply({ limits }).failures).toEqual([]);
    execFileSync("ip", ["-n", id("a"), "link", "del", "mine"]); // made anew by the next pass
  });

  test("a pod whose namespace is gone is reported, and the others are in force", () => {
    const gone = {
      ...(endpoints[0] as Endpoint),
      name: "gone",
      device: "weir00000000000",
      netns: "/run/netns/none",
      ips: [],
    };
    const { failures } = apply({ endpoints: [...endpoints, gone] });
    expect(failures).toEqual([
      { object: "device weir00000000000", message: expect.stringContaining("/run/netns/none") },
    ]);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("what one agent left half done the next one finishes: a pod without routes", () => {
    const desired = plan(state({ endpoints: endpoints.slice(0, 1) }));
    inNode(() => datapath.apply({ ...desired, links: desired.links.filter((link) => link.kind !== "pod") }));
    const links = desired.links.map((link) => (link.kind === "pod" ? { ...link, gateways: ["nonsense"] } : link));
    const { failures } = inNode(() => datapath.apply({ ...desired, links }));
    expect(failures.map(({ object }) => object)).toEqual([`device ${endpoints[0]?.device}`]);
    datapath.panel.close();
    datapath = open();
    expect(apply().failures).toEqual([]);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("what one agent left half done the next one finishes: a splitting pair with offloads", () => {
    const ip = (...words: string[]) => execFileSync("ip", ["-n", id("node"), "link", ...words]);
    ip("del", "weir_split0");
    ip("add", "weir_split0", "type", "veth", "peer", "name", "weir_split1");
    expect(apply().failures).toEqual([]);
    const features = run("node", "ethtool", "-k", "weir_split0");
    expect(features).toContain("tcp-segmentation-offload: off");
    expect(features).toContain("generic-segmentation-offload: off");
  });

  test("a device that could not be given its program stays down", () => {
    const [{ device } = { device: "" }] = endpoints;
    const pin = join(root, "links", device);
    const up = () => inNode(() => links().find((link) => link.name === device)?.up);
    expect(apply({ endpoints: [] }).failures).toEqual([]);
    mkdirSync(pin);
    expect(apply().failures.map(({ object }) => object)).toEqual([`device ${device}`]);
    expect(up()).toBe(false);
    rmdirSync(pin);
    expect(apply().failures).toEqual([]);
    expect(up()).toBe(true);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("a pin that is no link is reported, and everything else is in force", () => {
    const pin = join(root, "links", "stray");
    mkdirSync(pin);
    expect(apply({ endpoints: endpoints.slice(0, 1) }).failures.map(({ object }) => object)).toEqual(["link of stray"]);
    rmdirSync(pin);
    expect(apply().failures).toEqual([]);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("a node that is taken down leaves nothing, whether or not its devices are there", () => {
    const left = () =>
      inNode(() => [
        ...links().map(({ name }) => name),
        ...routes().map(({ cidr }) => cidr),
        ...(existsSync(root) ? readdirSync(root) : []),
      ]);
    apply({ limits: new Map([["ns/a", [limit("egress", 10e6)]]]) });
    execFileSync("ip", ["-n", id("node"), "link", "del", endpoints[0]?.device ?? ""]);
    inNode(() => removeNode({ bpffs, state: join(folder, "state") }, "n1"));
    expect(left()).toEqual(["lo"]);
    datapath.panel.close();
    datapath = open();
    expect(apply().failures).toEqual([]);
    expect(ping("a", "10.244.1.3")).toContain("2 received");
  });
});
