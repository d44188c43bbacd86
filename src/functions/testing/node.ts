import { type ChildProcess, execFileSync, spawn } from "node:child_process";
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
import { leftovers } from "../../kernel/testing/leftovers.ts";
import type { ImpairRule } from "../../model/impair.ts";
import type { LimitRule } from "../../model/limits.ts";
import type { PodAttachment } from "../../model/node-context.ts";
import type { ProgramInForce } from "../../model/programs.ts";
import { functions } from "../index.ts";
import { applyWanted, assertInForce, type Wanted } from "./document.ts";

const root = new URL("../../..", import.meta.url).pathname;
const PODS = ["a", "b"] as const;
/** The node's own address, from which kubelet's probes come. */
export const NODE_ADDRESS = "192.0.2.1";
export type PodName = (typeof PODS)[number];
const MTU = 1500;

type Rules<T> = Partial<Record<PodName, readonly T[]>>;
interface AllRules {
  limits?: Rules<LimitRule>;
  impairments?: Rules<ImpairRule>;
  builds?: Rules<ProgramInForce>;
  mtu?: number;
}

/** A node with pods a and b on the real panel, datapath and functions, each in a namespace of this test file. */
export class Node {
  readonly directory = mkdtempSync(join(tmpdir(), "weir-functions-"));
  readonly bpffs = join(this.directory, "bpf");
  readonly panel: Panel;
  readonly #fq = hasQdisc("fq");
  readonly #objects: string;
  readonly #panels: Panel[] = [];
  readonly #undo = leftovers();
  readonly #prefix: string;
  readonly #datapath: Datapath;

  /** @param objects folder of compiled objects; by default they are compiled */
  constructor(prefix = `weir-t${process.pid}-fn`, objects?: string) {
    this.#prefix = prefix;
    this.#undo.defer(() => rmSync(this.directory, { recursive: true, force: true }));
    if (objects === undefined) compileObjects(this.directory);
    mountBpffs(this.bpffs);
    this.#undo.defer(() => unmountBpffs(this.bpffs));
    for (const name of ["node", ...PODS]) {
      createNamespace(this.namespace(name));
      this.#undo.defer(() => removeNamespace(this.namespace(name)));
    }
    this.run("node", "ip", "addr", "add", `${NODE_ADDRESS}/32`, "dev", "lo");
    this.#objects = objects ?? this.directory;
    this.#datapath = this.inNode(() => this.datapath());
    this.panel = this.#panels[0] as Panel;
  }

  /** A datapath on the same kernel state, like another agent's. */
  datapath(): Datapath {
    const names = functions.map((one) => one.name);
    const panel = Panel.open({ root: join(this.bpffs, "t"), objects: this.#objects, functions: names });
    this.#panels.push(panel);
    return openDatapath({
      panel,
      tables: functions.flatMap((one) => one.tables),
      state: functions.flatMap((one) => one.state ?? []),
      programs: (build) => this.linked(build),
    });
  }

  /** The path of a linked program with this name. */
  linked(build: string): string {
    return join(this.directory, "programs", `${build}.bpf.o`);
  }

  namespace(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  path(name: string): string {
    return namespacePath(this.namespace(name));
  }

  inNode<T>(work: () => T): T {
    return inNamespace(this.path("node"), work);
  }

  run(name: string, ...command: string[]): string {
    return execFileSync("nsenter", [`--net=${this.path(name)}`, ...command], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Starts a command in a namespace. The caller ends it. */
  start(name: string, ...command: string[]): ChildProcess {
    return spawn("nsenter", [`--net=${this.path(name)}`, ...command], { stdio: "ignore" });
  }

  /** Puts pods' limits in force. Returns the number of writes. Throws if an item failed. */
  apply(limits: Rules<LimitRule>, datapath = this.#datapath): number {
    return this.applyRules({ limits }, datapath);
  }

  /** Like `apply`, with rules of every kind. */
  applyRules({ limits = {}, impairments = {}, builds = {}, mtu = MTU }: AllRules, datapath = this.#datapath): number {
    const byPod = <T>(rules: Rules<T>) =>
      new Map(Object.entries(rules).map(([name, list]) => [`default/${name}`, list]));
    const context = {
      name: "node-1",
      overlay: "vxlan",
      addresses: [NODE_ADDRESS],
      podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
    } as const;
    const wanted: Wanted = {
      node: { ...context, uplink: "lo", mtu, vxlan: { port: 4789, vni: 1 }, fq: this.#fq },
      endpoints: PODS.map((name) => this.endpoint(name)),
      limits: byPod(limits),
      impairments: byPod(impairments),
      builds: byPod(builds),
    };
    const { writes } = this.inNode(() => applyWanted(datapath, wanted));
    assertInForce(datapath);
    return writes;
  }

  /** Compares everything in force with the kernel. Returns the number of repairs. */
  scrub(datapath = this.#datapath): number {
    return this.inNode(() => {
      for (let writes = 0; ; ) {
        const slice = datapath.scrub();
        writes += slice.writes;
        if (slice.done) return writes;
      }
    });
  }

  endpoint(name: PodName): PodAttachment {
    const n = 10 + PODS.indexOf(name);
    return {
      namespace: "default",
      name,
      uid: name,
      netns: this.path(name),
      ifname: "eth0",
      device: `weir${`${n}`.repeat(6).slice(0, 11)}`,
      mac: `02:00:00:00:01:${n}`,
      ips: [`10.244.1.${n}`, `fd00:10:244:1::${n}`],
    };
  }

  close(): void {
    for (const panel of this.#panels) panel.close();
    this.#undo.dispose();
  }
}

/** Compiles the panel and all functions into a folder. */
export function compileObjects(directory: string): void {
  compileObject("bpf/entry.bpf.c", join(directory, "entry.bpf.o"));
  for (const { name } of functions) {
    compileObject(`src/functions/${name}/${name}.bpf.c`, join(directory, `${name}.bpf.o`));
  }
}

/** Compiles one object. @param source path from the repository's root */
export function compileObject(source: string, target: string): void {
  const flags = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Ibpf"];
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  execFileSync("clang", [...flags, include, "-c", source, "-o", target], { cwd: root });
}
