import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Datapath } from "../../datapath/datapath.ts";
import { openDatapath } from "../../datapath/open.ts";
import { Panel } from "../../datapath/panel.ts";
import {
  createNamespace,
  hasQdisc,
  inNamespace,
  mountBpffs,
  namespacePath,
  removeNamespace,
  unmountBpffs,
} from "../../kernel/index.ts";
import { endIperf, serveIperf } from "../../kernel/testing/iperf-server.ts";
import { leftovers } from "../../kernel/testing/leftovers.ts";
import type { Tap } from "../../model/node-context.ts";
import { functions } from "../index.ts";
import { applyWanted, assertInForce, type Wanted } from "./document.ts";
import { compileObjects } from "./node.ts";

/** A pod in another network: a namespace behind a veth of the node's own stack. */
export const POD = { v4: "10.88.0.2", v6: "fd88::2" } as const;
export const HOST = { v4: "10.88.0.1", v6: "fd88::1" } as const;
export const DEVICE = "veth0a1b.2c";

/** A node with another network, and Weir's taps in mode `chained`. */
export class Neighbour {
  readonly directory = mkdtempSync(join(tmpdir(), "weir-tap-"));
  readonly bpffs = join(this.directory, "bpf");
  readonly panel: Panel;
  readonly tap: Tap = { namespace: "default", name: "web", device: DEVICE, ips: [POD.v4, POD.v6] };
  readonly #datapath: Datapath;
  readonly #undo = leftovers();

  constructor() {
    this.#undo.defer(() => rmSync(this.directory, { recursive: true, force: true }));
    compileObjects(this.directory);
    mountBpffs(this.bpffs);
    this.#undo.defer(() => unmountBpffs(this.bpffs));
    for (const name of ["node", "pod"] as const) {
      createNamespace(this.#namespace(name));
      this.#undo.defer(() => removeNamespace(this.#namespace(name)));
    }
    this.#undo.defer(() => endIperf(this.#pidfile));
    this.run(
      "node",
      "ip",
      "link",
      "add",
      DEVICE,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      this.#namespace("pod"),
    );
    for (const [name, device, ends] of [
      ["node", DEVICE, HOST],
      ["pod", "eth0", POD],
    ] as const) {
      this.run(name, "ip", "link", "set", "lo", "up");
      this.run(name, "ip", "link", "set", device, "up");
      this.run(name, "ip", "addr", "add", `${ends.v4}/24`, "dev", device);
      this.run(name, "ip", "addr", "add", `${ends.v6}/64`, "dev", device, "nodad");
    }
    this.panel = this.inNode(() =>
      Panel.open({
        root: join(this.bpffs, "t"),
        objects: this.directory,
        functions: functions.map(({ name }) => name),
      }),
    );
    this.#datapath = this.inNode(() =>
      openDatapath({
        panel: this.panel,
        tables: functions.flatMap(({ tables }) => tables),
        state: functions.flatMap(({ state }) => state ?? []),
      }),
    );
  }

  /** Puts the pod's rules in force. Throws if an item failed. */
  apply(rules: Partial<Pick<Wanted, "limits" | "impairments" | "taps" | "hosts">>): void {
    const context = { name: "node-1", overlay: "vxlan", addresses: [], podCIDRs: [], uplink: "lo", mtu: 1500 } as const;
    const node = { ...context, vxlan: { port: 4789, vni: 1 }, fq: hasQdisc("fq"), mode: "chained" } as const;
    this.inNode(() => applyWanted(this.#datapath, { node, taps: [this.tap], ...rules }));
    assertInForce(this.#datapath);
  }

  /** Returns the number of replies. */
  ping(from: "node" | "pod", to: string, count: number, ...options: string[]): number {
    const command = ["ping", "-n", "-q", "-i", "0.002", "-c", `${count}`, "-W", "1", ...options, to];
    return Number(
      /(\d+) received/.exec(this.run("node" === from ? "node" : "pod", "sh", "-c", `${command.join(" ")} || :`))?.[1],
    );
  }

  /** Path of a network namespace. */
  path(name: "node" | "pod"): string {
    return namespacePath(this.#namespace(name));
  }

  /** Starts an iperf3 server for one client. */
  async serve(name: "node" | "pod"): Promise<void> {
    await serveIperf((...command) => this.run(name, ...command), this.#pidfile);
  }

  inNode<T>(work: () => T): T {
    return inNamespace(namespacePath(this.#namespace("node")), work);
  }

  run(name: "node" | "pod", ...command: string[]): string {
    const enter = `--net=${namespacePath(this.#namespace(name))}`;
    return execFileSync("nsenter", [enter, ...command], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  close(): void {
    this.panel.close();
    this.#undo.dispose();
  }

  get #pidfile(): string {
    return join(this.directory, "iperf.pid");
  }

  #namespace(name: string): string {
    return `weir-t${process.pid}-tap-${name}`;
  }
}
