import { execFileSync } from "node:child_process";
import { attachPrograms } from "../../../datapath/testing/attach.ts";
import { createNamespace, inNamespace, links, namespacePath, removeNamespace } from "../../../kernel/index.ts";
import type { PairLink, PodLink } from "../../../model/document.ts";
import { familyOf } from "../../../model/ip.ts";
import type { NodeContext } from "../../../model/node-context.ts";
import type { Composer } from "../../../reconcile/composer.ts";
import type { Wanted } from "../../testing/document.ts";
import { Bench } from "./bench.ts";
import { cluster, endpoint, node } from "./fixture.ts";

/** Output of a command, and whether it succeeded. */
export interface Ran {
  ok: boolean;
  text: string;
}

/**
 * Two connected nodes, with pods a and b on the first and c on the second, each in a namespace. The nodes use strict
 * reverse path filtering and compute checksums in software, like the strictest of real nodes.
 */
export class World {
  readonly benches: Record<1 | 2, Bench>;
  readonly #overlay: NodeContext["overlay"];

  constructor(overlay: NodeContext["overlay"]) {
    this.#overlay = overlay;
    for (const name of ["node1", "node2", "a", "b", "c"]) createNamespace(this.namespace(name));
    this.#wire();
    this.benches = { 1: this.#node(1), 2: this.#node(2) };
  }

  namespace(name: string): string {
    return `weir-t${process.pid}-${name}`;
  }

  /** Runs a command in a namespace (`node1`, `a`, …). */
  run(name: string, ...command: string[]): Ran {
    try {
      const path = namespacePath(this.namespace(name));
      const stdio = ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"];
      const text = execFileSync("nsenter", [`--net=${path}`, ...command], { encoding: "utf8", stdio, timeout: 30_000 });
      return { ok: true, text };
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      return { ok: false, text: `${stdout}${stderr}` };
    }
  }

  /** Like `run`, but throws if the command fails. */
  must(name: string, ...command: string[]): string {
    const { ok, text } = this.run(name, ...command);
    if (!ok) throw new Error(`${command.join(" ")} in ${name}: ${text}`);
    return text;
  }

  ping(from: string, to: string, ...options: string[]): Ran {
    return this.run(from, "ping", "-n", "-c", "2", "-i", "0.05", "-W", "1", ...options, to);
  }

  /** Addresses that answered, hop by hop; `*`: no answer. */
  trace(from: string, to: string, ...options: string[]): string[] {
    const out = this.must(from, "traceroute", "-n", "-q", "1", "-w", "1", "-m", "5", ...options, to);
    const hops = out.split("\n").slice(1);
    return hops.flatMap((line) => /^\s*\d+\s+(\S+)/.exec(line)?.[1] ?? []);
  }

  close(): void {
    for (const name of ["a", "b", "c", "node1", "node2"]) removeNamespace(this.namespace(name));
    this.benches[1].close();
    this.benches[2].close();
  }

  #wire(): void {
    for (const n of ["node1", "node2"]) {
      const settings = ["ipv4.conf.all.rp_filter=1", "ipv4.conf.default.rp_filter=1", "ipv4.ip_forward=1"];
      const ipv6 = ["ipv6.conf.default.accept_dad=0", "ipv6.conf.all.forwarding=1"];
      this.must(n, "sysctl", "-qw", ...[...settings, ...ipv6].map((setting) => `net.${setting}`));
      this.must(n, "ip", "link", "set", "lo", "up");
    }
    const far = this.namespace("node2");
    this.must("node1", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", far);
    for (const n of [1, 2]) {
      const name = `node${n}`;
      this.must(name, "ethtool", "-K", "eth0", "tx", "off");
      this.must(name, "ip", "link", "set", "eth0", "up");
      this.must(name, "ip", "addr", "add", `192.168.0.${n}/24`, "dev", "eth0");
      this.must(name, "ip", "addr", "add", `fd00:192::${n}/64`, "dev", "eth0", "nodad");
    }
  }

  #wanted(n: 1 | 2): Wanted {
    const own = node(n);
    const pods =
      n === 1
        ? ([
            ["a", 10],
            ["b", 11],
          ] as const)
        : ([["c", 12]] as const);
    const endpoints = pods.map(([name, last]) => {
      const pod = endpoint(name, last, namespacePath(this.namespace(name)));
      return { ...pod, ips: pod.ips.map((ip) => ip.replace("244.1.", `244.${n}.`).replace("244:1:", `244:${n}:`)) };
    });
    const context = { name: `node-${n}`, overlay: this.#overlay, addresses: own.addresses, podCIDRs: own.podCIDRs };
    return cluster(context, { nodes: [node(1), node(2)], endpoints });
  }

  #node(n: 1 | 2): Bench {
    const name = `node${n}`;
    const wanted = this.#wanted(n);
    return inNamespace(namespacePath(this.namespace(name)), () => {
      const bench = new Bench((device) => links().find((link) => link.name === device)?.ifindex);
      for (let pass = 0; pass < 2; pass++) {
        const document = bench.apply(wanted);
        if (pass === 0) this.#makeLinks(name, document);
        else this.#attach(bench, document);
      }
      return bench;
    });
  }

  #attach(bench: Bench, { ports }: Composer): void {
    const entries = [...ports.values()].flatMap(({ item: { entry } }) => (entry ? [[entry, "entry"] as const] : []));
    attachPrograms(bench.panel, new Map(entries), bench.ids().device);
  }

  #makeLinks(name: string, { links: wanted, routes }: Composer): void {
    const ip = (...words: string[]) => this.must(name, "ip", ...words);
    for (const { item: link } of wanted.all()) {
      const { device } = link;
      const mtu = String(link.mtu);
      if (link.kind === "vxlan") {
        ip("link", "add", device, "mtu", mtu, "type", "vxlan", "external", "nolearning", "dstport", String(link.port));
        ip("link", "set", device, "up");
      }
      if (link.kind === "pod") this.#makePod(name, link);
      if (link.kind === "pair" && link.mac !== "") this.#makePair(name, link);
    }
    for (const { item } of routes.all()) {
      const { cidr, device, via, source } = item;
      const more = [...(via === undefined ? [] : ["via", via]), ...(source === undefined ? [] : ["src", source])];
      ip("route", "add", cidr, "dev", device, ...more);
    }
  }

  #makePair(name: string, { device, other, mac, mtu }: PairLink): void {
    const ip = (...words: string[]) => this.must(name, "ip", ...words);
    ip("link", "add", device, "address", mac, "mtu", `${mtu}`, "type", "veth", "peer", "name", other, "mtu", `${mtu}`);
    for (const end of [device, other]) ip("link", "set", end, "up");
  }

  /** Configures a pod as a runtime would, without neighbour entries: the router has to answer for the gateway. */
  #makePod(name: string, { device, netns, mac, mtu, ips, gateways }: PodLink): void {
    const pod = netns.slice(netns.lastIndexOf("-") + 1);
    const inPod = (...words: string[]) => this.must(pod, "ip", ...words);
    this.must(
      name,
      "ip",
      "link",
      "add",
      device,
      "mtu",
      `${mtu}`,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      this.namespace(pod),
    );
    this.must(name, "ip", "link", "set", device, "up");
    inPod("link", "set", "lo", "up");
    inPod("link", "set", "eth0", "address", mac, "mtu", `${mtu}`, "up");
    for (const ip of ips) inPod("addr", "add", ip, "dev", "eth0", ...(familyOf(ip) === 6 ? ["nodad"] : []));
    for (const gateway of gateways) {
      const family = `-${familyOf(gateway)}`;
      inPod(family, "route", "add", gateway, "dev", "eth0");
      inPod(family, "route", "add", "default", "via", gateway, "dev", "eth0");
    }
  }
}
