import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createNamespace,
  inNamespace,
  mountBpffs,
  namespacePath,
  removeNamespace,
  unmountBpffs,
} from "../../kernel/index.ts";
import { leftovers } from "../../kernel/testing/leftovers.ts";
import type { Instance, Port } from "../../model/document.ts";
import { panelLinks, RECIRC, SHAPE, SPLIT } from "../../model/panel.ts";

const root = new URL("../../..", import.meta.url).pathname;

/** Compiles a source to an object with the product's compiler flags. */
export function compileObject(source: string, out: string, defines: readonly string[] = []): void {
  const flags = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Ibpf"];
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const macros = defines.map((define) => `-D${define}`);
  execFileSync("clang", [...flags, ...macros, include, "-c", source, "-o", out], { cwd: root });
}

/** Compiles the panel's entry programs and the test function `act` into `directory`. */
export function compileObjects(directory: string, abi?: number): void {
  const defines = abi === undefined ? [] : [`WEIR_ABI=${abi}`];
  for (const [name, source] of [
    ["entry", "bpf/entry.bpf.c"],
    ["flows", "bpf/flows.bpf.c"],
    ["act", "src/datapath/testdata/act.bpf.c"],
  ] as const) {
    compileObject(source, join(directory, `${name}.bpf.o`), defines);
  }
}

/**
 * A node namespace with the panel's pairs, and pods `a`, `b`, `c` with addresses 10.9.0.1 to .3 and static neighbour
 * entries.
 */
export class Bench {
  readonly directory = mkdtempSync(join(tmpdir(), "weir-panel-"));
  readonly bpffs = join(this.directory, "bpf");
  readonly node = `weir-t${process.pid}-node`;
  readonly #undo = leftovers();

  constructor() {
    this.#undo.defer(() => rmSync(this.directory, { recursive: true, force: true }));
    mountBpffs(this.bpffs);
    this.#undo.defer(() => unmountBpffs(this.bpffs));
    this.#create(this.node);
    for (const link of panelLinks()) {
      this.ip("link", "add", link.device, "mtu", "65535", "type", "veth", "peer", "name", link.other, "mtu", "65535");
      for (const device of [link.device, link.other]) this.ip("link", "set", device, "up");
    }
    this.run(this.node, "ethtool", "-K", SPLIT.device, "tso", "off", "gso", "off");
    for (const [index, pod] of ["a", "b", "c"].entries()) this.#pod(pod, index + 1);
  }

  pod(name: string): string {
    return `weir-t${process.pid}-${name}`;
  }

  /** Runs a command in a namespace. Returns its standard output. */
  run(namespace: string, ...command: string[]): string {
    return execFileSync("nsenter", [`--net=${namespacePath(namespace)}`, ...command], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  ip(...words: string[]): string {
    return execFileSync("ip", ["-n", this.node, ...words], { encoding: "utf8" });
  }

  ifindex(device: string): number | undefined {
    const links = JSON.parse(this.ip("-j", "link", "show")) as { ifname: string; ifindex: number }[];
    return links.find((link) => link.ifname === device)?.ifindex;
  }

  /** Sends `count` pings from one pod to another. Returns the number of replies. */
  ping(from: string, to: "a" | "b" | "c", count = 3): number {
    const address = `10.9.0.${["a", "b", "c"].indexOf(to) + 1}`;
    try {
      const out = this.run(this.pod(from), "ping", "-n", "-q", "-c", String(count), "-i", "0.05", "-W", "1", address);
      return Number(/(\d+) received/.exec(out)?.[1]);
    } catch (error) {
      return Number(/(\d+) received/.exec(String((error as { stdout?: string }).stdout))?.[1] ?? Number.NaN);
    }
  }

  /**
   * Waits until all connections of pods a and b are closed, so that their last segments are not counted by the next
   * test.
   */
  quiet(): void {
    const open = (pod: string) =>
      this.run(this.pod(pod), "ss", "-Htan", "state", "connected", "exclude", "time-wait").trim() !== "";
    for (let patience = 100; patience > 0 && ["a", "b"].some(open); patience--) this.run(this.node, "sleep", "0.02");
  }

  inNode<T>(work: () => T): T {
    return inNamespace(namespacePath(this.node), work);
  }

  close(): void {
    this.#undo.dispose();
  }

  #create(namespace: string): void {
    createNamespace(namespace);
    this.#undo.defer(() => removeNamespace(namespace));
  }

  #pod(name: string, index: number): void {
    const namespace = this.pod(name);
    this.#create(namespace);
    // neighbour discovery and MLD would add packets to the counts
    this.run(namespace, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1");
    const inPod = (...words: string[]) => execFileSync("ip", ["-n", namespace, ...words]);
    this.ip("link", "add", `v${name}`, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    this.ip("link", "set", `v${name}`, "up");
    inPod("link", "set", "eth0", "address", `02:00:00:00:00:0${index}`, "up");
    inPod("addr", "add", `10.9.0.${index}/24`, "dev", "eth0");
    for (const other of [1, 2, 3].filter((n) => n !== index)) {
      inPod("neigh", "add", `10.9.0.${other}`, "lladdr", `02:00:00:00:00:0${other}`, "dev", "eth0", "nud", "permanent");
    }
  }
}

/** A port of a test's topology, connected to pod device `v<device>`. */
export function devicePort(
  instance: string,
  name: string,
  device: string,
  chains: Partial<Pick<Port, "ingress" | "egress">> = {},
): Port {
  const peer = { kind: "device", device: `v${device}`, delivery: "peer" } as const;
  return { instance, name, peer, entry: `v${device}`, ingress: [], egress: [], ...chains };
}

/** The state to put in force on a panel: ports, instances, and the devices from which packets return. */
export interface Topology {
  instances: readonly Instance[];
  ports: readonly Port[];
  resume: readonly string[];
}

/** Ports whose instances all have the function `act`. */
export function document(ports: readonly Port[]): Topology {
  const names = new Set(ports.flatMap((port) => [port.instance, ...port.ingress, ...port.egress]));
  const instances: Instance[] = [...names].map((name) => ({ name, function: "act" }));
  const resume = [RECIRC.other, SPLIT.other, SHAPE.other];
  return { instances, ports, resume };
}
