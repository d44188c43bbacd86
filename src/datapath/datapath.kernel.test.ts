import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ethernet, ip, udp } from "../../test/packets.ts";
import { removeNode } from "../agent/uninstall.ts";
import { dropItems, sumCounts } from "../agent/views/counters.ts";
import { podNetwork } from "../authors/network.ts";
import { GATEWAY_MAC } from "../functions/router/names.ts";
import { links, routes } from "../kernel/index.ts";
import type { PodLink } from "../model/document.ts";
import type { PodAttachment } from "../model/node-context.ts";
import { idKey } from "./tables.ts";
import { KernelNode, limitOf } from "./testing/kernel-node.ts";

let node: KernelNode;
beforeAll(() => {
  node = new KernelNode();
});
afterAll(() => node?.close());

const limits = (rate = 10e6) => new Map([["ns/a", [limitOf("egress", rate)]]]);

describe("a node's datapath", () => {
  beforeEach(() => expect(node.apply().failed).toEqual([]));

  test("pods, gateway and host reach each other over IPv4 and IPv6", () => {
    for (const to of ["10.244.1.3", "fd00:10:244:1::3", "10.244.1.1", "fd00:10:244:1::1"]) {
      expect(node.ping("a", to)).toContain("2 received");
    }
    expect(node.ping("node", "10.244.1.2")).toContain("2 received");
  });

  test("what is in force is not written again, by a second pass or a new agent", () => {
    expect(node.apply().writes).toBe(0);
    node.restart();
    expect(node.panel.writes).toBe(0);
    expect(node.apply()).toEqual({ failed: [], writes: 0 });
  });

  test("a limit is added, changed and removed; a change of rate touches its row and its parent class alone", () => {
    const [device] = node.endpoints.map((endpoint) => endpoint.device);
    const limited = (rate: number) => node.apply({ limits: limits(rate) });
    expect(limited(10e6).failed).toEqual([]);
    const id = node.panel.names.find("instance", `limit:${device}:egress`) ?? 0;
    const rates = () => node.shaped().map((one) => Number(one.rate));
    // the parent's and the sparse flows' class; leaves have no rate of their own
    const own = () => rates().filter((rate) => rate > 8);
    const charged = (rate: number) => Math.round((rate * 647) / 640 / 8) * 8;
    expect(own()).toEqual([charged(10e6), charged(10e6)]);
    expect(rates()).toHaveLength(2 + 21);
    const { active } = node.panel.generations;
    expect(limited(20e6)).toEqual({ failed: [], writes: 2 });
    expect(node.panel.generations.active).toBe(active);
    expect(own()).toEqual([charged(20e6), charged(20e6)]);
    expect(rates()).toHaveLength(2 + 21);
    expect(node.panel.names.find("instance", `limit:${device}:egress`)).toBe(id);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
    node.apply(); // packets in its classes drain, then they are removed
    node.pass();
    expect(rates()).toEqual([]);
  });

  test("a removed pod's device is removed, and other pods are not affected", () => {
    expect(node.apply({ endpoints: node.endpoints.slice(0, 1) }).failed).toEqual([]);
    const own = node.inNode(() => links().filter((link) => /^weir[0-9a-f]{11}$/.test(link.name)));
    expect(own.map((link) => link.name)).toEqual([node.endpoints[0]?.device]);
    expect(node.ping("a", "10.244.1.1")).toContain("2 received");
  });

  test("a changed MTU is applied to existing devices", () => {
    const mtus = () => node.inNode(() => new Map(links().map(({ name, mtu }) => [name, mtu])));
    expect(node.apply({ node: { ...node.context, mtu: 1400 } }).failed).toEqual([]);
    const devices = [...node.endpoints.map(({ device }) => device), "weir_host", "weir_panel", "weir_vxlan"];
    expect(devices.map((device) => mtus().get(device))).toEqual(devices.map(() => 1400));
    expect(node.run("a", "ip", "link", "show", "eth0")).toContain("mtu 1400");
    expect(node.apply({ node: { ...node.context, mtu: 1400 } }).writes).toBe(0);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("a changed tunnel port is applied to the device and closed to pods", () => {
    const change = { node: { ...node.context, vxlan: { port: 8472, vni: 1 } } };
    expect(node.apply(change).failed).toEqual([]);
    expect(node.run("node", "ip", "-d", "link", "show", "weir_vxlan")).toMatch(/state UNKNOWN.*dstport 8472/s);
    expect(node.apply(change).writes).toBe(0);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("a native XDP program on a pod's device sees delivered packets", () => {
    const object = join(node.folder, "drop.xdp.o");
    const source =
      '#define IN(s) __attribute__((section(s), used))\nIN("xdp") int drop(void *x) { return 1; }\nchar l[] IN("license") = "GPL";\n';
    execFileSync("clang", ["-O2", "-g", "-target", "bpf", "-x", "c", "-c", "-", "-o", object], { input: source });
    const reached = () => node.run("b", "sh", "-c", "ping -n -q -c 2 -i 0.05 -W 1 10.244.1.2; true");
    expect(reached()).toContain("2 received");
    node.run("a", "ip", "link", "set", "dev", "eth0", "xdpdrv", "obj", object, "sec", "xdp");
    expect(node.scrub()).toBeGreaterThan(0);
    expect(reached()).toContain("0 received");
    node.run("a", "ip", "link", "set", "dev", "eth0", "xdpdrv", "off");
    expect(node.scrub()).toBeGreaterThan(0);
    expect(reached()).toContain("2 received");
  });

  test("only packets with the configured VNI are received from the tunnel", () => {
    const posing = ip({ src: "10.244.2.9", dst: "10.244.1.2" }, udp({ sport: 53, dport: 53 }));
    const inner = ethernet({ src: "02:00:00:00:00:01", dst: GATEWAY_MAC }, posing);
    const receives = (vni: number): number => {
      const port = idKey(node.panel.names.id("port", "router:overlay"));
      const count = () =>
        sumCounts(node.panel.table("weir_ports").lookup(port) ?? Buffer.alloc(0), 32)[0]?.packets ?? 0;
      const before = count();
      const packet = Buffer.concat([Buffer.from([8, 0, 0, 0, 0, vni >> 8, vni & 255, 0]), inner]).toString("hex");
      const send = `const s = require("dgram").createSocket("udp4"); s.send(Buffer.from("${packet}", "hex"), 4789, "192.0.2.1", () => s.close())`;
      node.run("node", process.execPath, "-e", send);
      return count() - before;
    };
    expect([receives(1), receives(7), receives(0), receives(0xffff)]).toEqual([1, 0, 0, 0]);
    const other = { node: { ...node.context, vxlan: { port: 4789, vni: 7 } } };
    expect(node.apply(other).failed).toEqual([]);
    expect([receives(1), receives(7)]).toEqual([0, 1]);
    expect(node.apply(other).writes).toBe(0);
  });

  test("a port that reuses an id starts with zero counters", () => {
    const ports = node.panel.table("weir_ports");
    const port = node.panel.names.id("port", `router:${node.endpoints[1]?.device}`);
    execFileSync("ip", ["-n", node.id("b"), "addr", "add", "10.9.9.9/32", "dev", "eth0"]);
    expect(() => node.run("b", "ping", "-c", "1", "-W", "1", "-I", "10.9.9.9", "10.244.1.2")).toThrow();
    const items = () => dropItems(node.panel, new Set([`router:${node.endpoints[1]?.device}`]));
    const spoofed = () => items().filter(({ reason }) => reason === "spoofed");
    const total = () => spoofed().reduce((sum, { packets }) => sum + packets, 0);
    const before = total();
    expect(spoofed()).toContainEqual(
      expect.objectContaining({ port: `router:${node.endpoints[1]?.device}`, direction: "egress", packets: 1 }),
    );
    for (let round = 0; round < 2; round++) {
      expect(node.apply({ endpoints: node.endpoints.slice(0, 1) }).failed).toEqual([]);
      expect(total()).toBe(before);
      expect(spoofed()).toContainEqual(expect.objectContaining({ port: "gone", direction: null }));
      expect(node.apply().failed).toEqual([]);
    }
    expect(ports.lookup(idKey(port))?.every((byte) => byte === 0)).toBe(true);
    expect(items().filter((item) => item.port === `router:${node.endpoints[1]?.device}`)).toEqual([]);
  });

  test("a pod that renames its device affects only itself", () => {
    node.apply({ limits: limits() });
    execFileSync("ip", ["-n", node.id("a"), "link", "set", "eth0", "down"]);
    execFileSync("ip", ["-n", node.id("a"), "link", "set", "eth0", "name", "mine"]);
    node.restart();
    expect(node.apply({ limits: limits() }).failed).toEqual([]);
    execFileSync("ip", ["-n", node.id("a"), "link", "del", "mine"]);
    expect(node.scrub()).toBeGreaterThan(0);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("a pod whose network namespace is gone is an outcome of its own; other pods are in force", () => {
    const gone = {
      ...(node.endpoints[0] as PodAttachment),
      name: "gone",
      device: "weir00000000000",
      netns: "/run/netns/none",
      ips: [],
    };
    expect(node.apply({ endpoints: [...node.endpoints, gone] }).failed).toEqual(["pods ns/gone kernel"]);
    expect(node.datapath.outcomes.of("pods ns/gone")[0]?.message).toContain("/run/netns/none");
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("an agent completes a pod's device that the last agent left without routes", () => {
    const [first = expect.fail()] = node.endpoints;
    expect(node.apply({ endpoints: [] }).failed).toEqual([]);
    const [link = expect.fail()] = podNetwork(first, node.context, first.ips).links ?? [];
    const item = { ...link, gateways: ["nonsense"] } as PodLink;
    const none = { instances: [], ports: [], routes: [], shapers: [], leases: [], rows: [] };
    node.inNode(() => node.datapath.apply({ ...none, links: [{ owner: "pods ns/a", item, gone: false }] }));
    expect(node.failed).toEqual(["pods ns/a kernel"]);
    node.restart();
    expect(node.apply().failed).toEqual([]);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("an agent completes a splitting pair that the last agent left with offloads", () => {
    const ip = (...words: string[]) => execFileSync("ip", ["-n", node.id("node"), "link", ...words]);
    ip("del", "weir_split0");
    ip("add", "weir_split0", "type", "veth", "peer", "name", "weir_split1");
    node.restart();
    expect(node.apply().failed).toEqual([]);
    const features = node.run("node", "ethtool", "-k", "weir_split0");
    expect(features).toContain("tcp-segmentation-offload: off");
    expect(features).toContain("generic-segmentation-offload: off");
  });

  test("a device whose program cannot be attached stays down", async () => {
    const [{ device } = { device: "" }] = node.endpoints;
    const pin = join(node.root, "links", device);
    const up = () => node.inNode(() => links().find((link) => link.name === device)?.up);
    expect(node.apply({ endpoints: [] }).failed).toEqual([]);
    mkdirSync(pin);
    expect(node.apply().failed).toEqual(["pods ns/a kernel"]);
    expect(up()).toBe(false);
    rmdirSync(pin);
    await expect.poll(() => node.pass().failed).toEqual([]);
    expect(up()).toBe(true);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("a pin that is no BPF link is an outcome of the node; everything else is in force", async () => {
    const pin = join(node.root, "links", "stray");
    mkdirSync(pin);
    node.restart();
    expect(node.apply().failed).toEqual(["Node/n1 kernel"]);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
    rmdirSync(pin);
    await expect.poll(() => node.pass().failed, { timeout: 20_000 }).toEqual([]);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });

  test("removing a node leaves nothing, whether or not its devices exist", () => {
    const left = () =>
      node.inNode(() => [
        ...links().map(({ name }) => name),
        ...routes().map(({ cidr }) => cidr),
        ...(existsSync(node.root) ? readdirSync(node.root) : []),
      ]);
    node.apply({ limits: limits() });
    execFileSync("ip", ["-n", node.id("node"), "link", "del", node.endpoints[0]?.device ?? ""]);
    node.inNode(() => removeNode({ bpffs: node.bpffs, state: join(node.folder, "state") }, "n1"));
    expect(left()).toEqual(["lo"]);
    node.restart();
    expect(node.apply().failed).toEqual([]);
    expect(node.ping("a", "10.244.1.3")).toContain("2 received");
  });
});
