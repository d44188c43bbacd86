import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstHop, markOf } from "../../../datapath/layout.ts";
import { Panel } from "../../../datapath/panel.ts";

import { encodeRow } from "../../../datapath/rows.ts";
import { unpacked } from "../../../datapath/tables.ts";
import { compileAll, type Ids } from "../../../datapath/testing/compile.ts";
import { readTrace } from "../../../datapath/testing/trace.ts";

import { enumNames, inspectObject, mountBpffs, type SkbCtx, unmountBpffs } from "../../../kernel/index.ts";
import { leftovers } from "../../../kernel/testing/leftovers.ts";
import type { PortSpec } from "../../../model/document.ts";
import type { Composer } from "../../../reconcile/composer.ts";
import { TestDocument, type Wanted } from "../../testing/document.ts";
import { router } from "../router.ts";
import { compiledObjects } from "./objects.ts";

const TRACE = 0x80000000;

/** The result of a packet's read-only run, and the packet as it left. */
export interface Outcome {
  /** Reasons of drops, e.g. `TTL`: of the packet, or of the one that was replaced by an ICMP error. */
  drops: string[];
  /** `peer router:weir…`, `tunnel node-2`, … or `stack`; undefined: no packet left. */
  out: string | undefined;
  frame: Buffer;
}

/** The router on a panel of its own, with rows but without devices: packets are run read-only. */
export class Bench {
  readonly directory = mkdtempSync(join(tmpdir(), "weir-router-"));
  readonly bpffs = join(this.directory, "bpf");
  readonly panel: Panel;
  readonly #objects = compiledObjects();
  readonly #reasons: Map<number, string>;
  readonly #devices = new Map<string, number>();
  readonly #held = new Set<string>();
  #placed: ReadonlySet<string> = new Set();
  readonly #undo = leftovers();

  readonly #device: ((name: string) => number | undefined) | undefined;

  /** @param device returns a device's index; by default a number that no packet is sent to */
  constructor(device?: (name: string) => number | undefined) {
    this.#device = device;
    this.#undo.defer(() => rmSync(this.directory, { recursive: true, force: true }));
    mountBpffs(this.bpffs);
    this.#undo.defer(() => unmountBpffs(this.bpffs));
    this.panel = Panel.open({ root: join(this.bpffs, "t"), objects: this.#objects, functions: [router.name] });
    this.#reasons = this.names("weir_drop_reason");
  }

  /** Names of an enum in the router's object. */
  names(type: string): Map<number, string> {
    return enumNames(inspectObject(join(this.#objects, "router.bpf.o")).btf, type);
  }

  ids(): Ids {
    const { names } = this.panel;
    const ifindex = (name: string): number | undefined => {
      if (this.#device) return this.#device(name);
      const known = this.#devices.get(name) ?? 1000 + this.#devices.size;
      this.#devices.set(name, known);
      return known;
    };
    return {
      port: (name) => names.id("port", name),
      instance: (name) => names.id("instance", name),
      slot: (name) => names.id("function", name),
      device: ifindex,
    };
  }

  /** Puts the router's rows and the test's own ports in force. Returns the composed document. */
  apply(wanted: Wanted, ports: readonly PortSpec[] = []): Composer {
    const ids = this.ids();
    const document = new TestDocument();
    document.composer.set("rules", "test", { owner: "Test", ports });
    document.follow(wanted);
    const { composer } = document;
    const instances = [...composer.instances.all()].map(({ item }) => item);
    const placed = [...composer.ports.values()].map(({ item }) => item);
    const compiled = compileAll({ instances, ports: placed }, ids);
    for (const name of this.#placed) if (!compiled.has(name)) this.panel.ports.remove(name);
    this.#placed = new Set(compiled.keys());
    for (const [name, one] of compiled) this.panel.ports.set(name, one);
    const failed = this.panel.ports.commit({ recirc: 0, split: 0, processors: 1 });
    for (const error of failed.values()) throw error;
    for (const name of router.tables) {
      const table = this.panel.table(name);
      const rows = [...composer.rows.all()].flatMap(({ item }) => (item.table === name ? [item] : []));
      if (this.#held.has(name)) table.remove(table.entries().map(([key]) => key));
      const scope = { names: this.panel.names, has: () => true, ifindex: ids.device };
      const encoded = rows.map((row) => encodeRow(row, table, scope));
      table.write(encoded.map(({ key, value }) => [unpacked(key), unpacked(value)]));
      this.#held.add(name);
    }
    return composer;
  }

  /** Runs a frame read-only, as if received by a port (`weir…`, `host`, `overlay`). */
  run(port: string, frame: Buffer, ctx: Partial<SkbCtx> = {}): Outcome {
    const result = this.panel.resume.testRun({
      data: frame,
      ctx: { ...ctx, mark: markOf(this.#hop(port), this.panel.abi, TRACE) },
      dataOutSize: 8192,
    });
    const { step } = readTrace(this.panel);
    const last = step.at(-1);
    const left = last && last.op !== "down" && last.op !== "call";
    return {
      drops: step.filter((each) => each.op === "down").map((each) => this.reason(each.reason)),
      out: left ? (last.op === "stack" ? "stack" : `${last.op} ${last.tunnel ?? last.port}`) : undefined,
      frame: result.data,
    };
  }

  #hop(port: string): number {
    return firstHop(this.panel.names.id("port", `router:${port}`), "ingress");
  }

  /** Runs a frame without read-only mode. Devices do not exist, so it is not sent. */
  send(port: string, frame: Buffer): void {
    this.panel.resume.testRun({
      data: frame,
      ctx: { mark: markOf(this.#hop(port), this.panel.abi) },
      dataOutSize: 8192,
    });
  }

  /** Packets dropped at a port so far, by reason. */
  drops(port: string): Record<string, number> {
    const table = this.panel.table("weir_drops");
    const id = this.panel.names.id("port", `router:${port}`);
    const found: Record<string, number> = {};
    for (const [key, value] of table.entries()) {
      const row = table.key.decode(key);
      if (row["port"] !== id) continue;
      let packets = 0;
      for (let at = 0; at < value.length; at += 16) packets += Number(value.readBigUInt64LE(at));
      const reason = this.reason(Number(row["reason"]));
      found[reason] = (found[reason] ?? 0) + packets;
    }
    return found;
  }

  /** Packets delivered to a port's peer so far. */
  sent(port: string): number {
    const id = Buffer.alloc(4);
    id.writeUInt32LE(this.panel.names.id("port", `router:${port}`));
    const row = this.panel.table("weir_ports").lookup(id) ?? Buffer.alloc(0);
    let packets = 0;
    for (let at = 16; at < row.length; at += 32) packets += Number(row.readBigUInt64LE(at));
    return packets;
  }

  reason(value: number): string {
    return (this.#reasons.get(value) ?? String(value)).replace("WEIR_DROP_", "");
  }

  close(): void {
    this.panel.close();
    this.#undo.dispose();
  }
}
