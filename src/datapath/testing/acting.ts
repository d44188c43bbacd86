import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Port } from "../../model/document.ts";
import { Panel } from "../panel.ts";
import { attachPrograms } from "./attach.ts";
import { Bench, compileObjects, devicePort, document, type Topology } from "./bench.ts";
import { compileAll, type Ids } from "./compile.ts";
import { droppedAt } from "./drops.ts";

/** The ABI of the sources. */
export const ABI = 2;
/** `enum act_verdict`, in its order. */
// biome-ignore format: in a row
const VERDICTS = ["next", "forward", "clone", "stack", "up", "drop", "split", "shape", "recirculate", "track", "hold"] as const;
export interface Act {
  verdict: (typeof VERDICTS)[number];
  port?: string;
  arg?: number;
  extra?: string;
  device?: string;
  /** For a drop: the rule that decided. */
  rule?: number;
  /** Counts each numbered datagram; see `timesJudged`. */
  note?: boolean;
}

/** Counters of an instance of the test function: packets, those that returned from a device, the last mark. */
export interface Runs {
  runs: number;
  resumed: number;
  segments: number;
  mark: number;
}

/** Pods on a panel whose only function is the test function `act`. Each instance does what its row says. */
export class World {
  readonly bench = new Bench();
  panel: Panel;
  #placed: ReadonlySet<string> = new Set();

  /** @param abis ABIs to compile objects for; the first one's panel is opened */
  constructor(abis: readonly [number, ...number[]] = [ABI]) {
    for (const abi of abis) {
      mkdirSync(this.objects(abi));
      compileObjects(this.objects(abi), abi);
    }
    this.panel = this.open(abis[0]);
  }

  objects(abi: number): string {
    return join(this.bench.directory, `objects-${abi}`);
  }

  open(abi = ABI): Panel {
    const root = join(this.bench.bpffs, "t");
    const flows = { buckets: 64, owners: 4096 };
    return this.bench.inNode(() => Panel.open({ root, objects: this.objects(abi), functions: ["act"], flows }));
  }

  ids(of = this.panel): Ids {
    return {
      port: (name) => of.names.id("port", name),
      instance: (name) => of.names.id("instance", name),
      slot: (name) => of.names.id("function", name),
      device: (name) => this.bench.ifindex(name),
    };
  }

  /** Puts a topology in force. Returns the number of rows written. Throws if any port failed. */
  apply(state: Topology, of = this.panel): number {
    const known = this.ids(of);
    const before = of.writes;
    const compiled = compileAll(state, known);
    for (const name of this.#placed) if (!compiled.has(name)) of.ports.remove(name);
    this.#placed = new Set(compiled.keys());
    for (const [name, port] of compiled) of.ports.set(name, port);
    const config = {
      recirc: known.device("weir_recirc0") ?? 0,
      split: known.device("weir_split0") ?? 0,
      processors: 1,
    };
    for (const error of of.ports.commit(config).values()) throw error;
    const wanted = new Map<string, "entry" | "resume">(state.resume.map((device) => [device, "resume"]));
    for (const port of state.ports) if (port.entry) wanted.set(port.entry, "entry");
    this.bench.inNode(() => attachPrograms(of, wanted, known.device));
    return of.writes - before;
  }

  act(instance: string, { verdict, port, arg = 0, extra, device, rule = 0, note = false }: Act): void {
    const table = this.panel.table("weir_act_rows");
    const ids = this.ids();
    const row = {
      verdict: VERDICTS.indexOf(verdict),
      arg: port === undefined ? arg : ids.port(port),
      extra: device === undefined ? (extra === undefined ? 0 : ids.port(extra)) : this.bench.ifindex(device),
      extra2: rule,
      note: note ? 1 : 0,
    };
    table.write([[u32(ids.instance(instance)), table.value.encode(row)]]);
  }

  runs(instance: string): Runs {
    const table = this.panel.table("weir_act_runs");
    const row = table.lookup(u32(this.ids().instance(instance)));
    const found = row ? (table.value.decode(row) as Record<string, bigint>) : {};
    const { runs = 0, resumed = 0, segments = 0, mark = 0 } = found;
    return { runs: Number(runs), resumed: Number(resumed), segments: Number(segments), mark: Number(mark) };
  }

  /** How often a noting function has judged each datagram, counted separately for new and returning ones. */
  timesJudged(instance: string): number[] {
    const seen = this.panel.table("weir_act_seen");
    const id = this.ids().instance(instance);
    const own = seen.entries().filter(([key]) => seen.key.decode(key)["instance"] === id);
    return own.map(([, value]) => Number(value.readBigUInt64LE()));
  }

  /** Packets dropped at a port for a reason since the panel was created. */
  drops(port: string, reason: number): number {
    return droppedAt(this.panel.table("weir_drops"), this.ids().port(port), reason);
  }

  /** Pods a and b, each on an instance that forwards to the other's port. */
  pair(chains: { in?: string[]; out?: string[] } = {}, more: Port[] = []): Topology {
    this.act("left", { verdict: "forward", port: "right:b" });
    this.act("right", { verdict: "forward", port: "left:a" });
    const a = devicePort("left", "a", "a", { ingress: chains.in ?? [] });
    const b = devicePort("right", "b", "b", { egress: chains.out ?? [] });
    return document([a, b, ...more]);
  }

  close(): void {
    this.panel.close();
    this.bench.close();
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
