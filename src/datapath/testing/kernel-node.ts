import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { panelRoot } from "../../agent/paths.ts";
import { functions } from "../../functions/index.ts";
import { applyWanted, type Wanted } from "../../functions/testing/document.ts";
import {
  createNamespace,
  inNamespace,
  mountBpffs,
  type NetworkNews,
  namespacePath,
  removeNamespace,
  unmountBpffs,
  watchNetwork,
} from "../../kernel/index.ts";
import { leftovers } from "../../kernel/testing/leftovers.ts";
import { podDevice } from "../../model/ipam.ts";
import type { LimitRule } from "../../model/limits.ts";
import type { NodeContext, PodAttachment } from "../../model/node-context.ts";
import type { Datapath } from "../datapath.ts";
import { kernelNetwork } from "../network.ts";
import { openDatapath } from "../open.ts";
import { Panel } from "../panel.ts";

const PODS = ["a", "b"];

export const limitOf = (direction: LimitRule["direction"], rate: number): LimitRule => ({
  ...{ direction, rate, source: "bandwidth", configured: "" },
});

/** A node with pods a and b, each in a namespace, and a datapath with all functions. */
export class KernelNode {
  readonly folder = mkdtempSync(join(tmpdir(), "weir-datapath-"));
  readonly bpffs = join(this.folder, "bpf");
  readonly root = panelRoot(this.bpffs, "n1");
  readonly objects = new URL("../../../dist/bpf", import.meta.url).pathname;
  readonly context: NodeContext = {
    ...{ name: "n1", overlay: "vxlan", addresses: ["192.0.2.1"], uplink: "lo", mtu: 1450 },
    ...{ podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"], vxlan: { port: 4789, vni: 1 } },
  };
  readonly endpoints: readonly PodAttachment[];
  panel: Panel;
  datapath: Datapath;
  /** Notifications after which a pass is needed. */
  heard: NetworkNews[] = [];
  readonly #stop = new AbortController();
  readonly #undo = leftovers();

  constructor() {
    this.endpoints = PODS.map((name, index) => {
      const pod = { namespace: "ns", name, uid: name, netns: namespacePath(this.id(name)), ifname: "eth0" };
      return { ...pod, ...podDevice(pod), ips: [`10.244.1.${index + 2}`, `fd00:10:244:1::${index + 2}`] };
    });
    this.#undo.defer(() => rmSync(this.folder, { recursive: true, force: true }));
    mountBpffs(this.bpffs);
    this.#undo.defer(() => unmountBpffs(this.bpffs));
    for (const name of ["node", ...PODS]) {
      createNamespace(this.id(name));
      this.#undo.defer(() => removeNamespace(this.id(name)));
    }
    this.ip("link", "set", "lo", "up");
    this.ip("addr", "add", "192.0.2.1/32", "dev", "lo");
    [this.panel, this.datapath] = this.#open();
  }

  /** Starts another agent on the state that this one left. */
  restart(): void {
    this.panel.close();
    [this.panel, this.datapath] = this.#open();
  }

  id(name: string): string {
    return `weir-t${process.pid}-${name}`;
  }

  inNode<T>(work: () => T): T {
    return inNamespace(namespacePath(this.id("node")), work);
  }

  /** Applies a document with pods a and b and these changes. */
  apply(change: Partial<Wanted> = {}): { writes: number; failed: string[] } {
    const wanted = { node: this.context, endpoints: this.endpoints, ...change };
    const { writes } = this.inNode(() => applyWanted(this.datapath, wanted));
    return { writes, failed: this.failed };
  }

  /** Runs a pass without a change. */
  pass(): { writes: number; failed: string[] } {
    const { writes } = this.inNode(() => this.datapath.apply());
    return { writes, failed: this.failed };
  }

  /** Owners of items that are not in force, with codes. */
  get failed(): string[] {
    const errors = this.datapath.outcomes.all().filter(({ severity }) => severity === "error");
    return errors.map(({ owner, code }) => `${owner} ${code}`).toSorted();
  }

  /** Compares everything in force with the kernel. Returns the number of repairs. */
  scrub(): number {
    return this.inNode(() => {
      for (let writes = 0; ; ) {
        const slice = this.datapath.scrub();
        writes += slice.writes;
        if (slice.done) return writes;
      }
    });
  }

  /** Passes notifications of the kernel to the datapath until the node is closed. */
  listen(): void {
    const hear = (news: NetworkNews) => {
      if (this.datapath.noticed(news)) this.heard.push(news);
    };
    watchNetwork(hear, this.#stop.signal, namespacePath(this.id("node")));
  }

  run(name: string, ...command: string[]): string {
    return execFileSync("nsenter", [`--net=${namespacePath(this.id(name))}`, ...command], { encoding: "utf8" });
  }

  ip(...words: string[]): string {
    return execFileSync("ip", ["-n", this.id("node"), ...words], { encoding: "utf8" });
  }

  ping(from: string, to: string): string {
    return this.run(from, "ping", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "1", to);
  }

  /** HTB classes, without those of the tbf below a leaf. */
  shaped() {
    return this.inNode(() => kernelNetwork.classes("weir_shape0"));
  }

  close(): void {
    this.#stop.abort();
    this.panel.close();
    this.#undo.dispose();
  }

  #open(): [Panel, Datapath] {
    return this.inNode(() => {
      const { root, objects } = this;
      const panel = Panel.open({ root, objects, functions: functions.map(({ name }) => name) });
      const state = functions.flatMap((one) => one.state ?? []);
      const tables = functions.flatMap((one) => one.tables);
      return [panel, openDatapath({ panel, tables, state, owner: "Node/n1" })];
    });
  }
}
