import { readdirSync } from "node:fs";
import { join } from "node:path";
import { BpfMap, type BpfObject, type Codec, inspectObject, loadObject, Program } from "../kernel/index.ts";

/** A port that no measured node uses, with room for a chain of up to 31 hops. */
const SPARE_PORT = 4094;
/** Hops of a chain in ABI 1, which has one row per hop, one generation after the other. */
const ABI1_CHAIN_HOPS = 8;
const ABI1_HOPS = 4096 * 2 * ABI1_CHAIN_HOPS;
/** A slot of the program array that no function of a measured node uses, and that is called directly (`weir_call`). */
export const PASS_SLOT = 4;
export const OP = { down: 0, call: 1, jump: 2, peer: 3 } as const;

/** A hop. A row of `weir_hops` has 32 hops, in ABI 1 one. */
export interface HopRow {
  op: number;
  flags: number;
  slot: number;
  instance: number;
  target: number;
  /** ABI 1: the port whose chain it is in. */
  port?: number;
}

export interface HopsOptions {
  /** Folder of the node's panel on its bpffs: `…/weir/node-1/abi-1`. */
  panel: string;
  /** Folder of the compiled objects. */
  objects: string;
}

/**
 * A running node's hop rows, which measurements change to lengthen a path. The node's agent must be stopped, or it would
 * repair them. `close` restores them.
 */
export class Hops {
  readonly entry: Program;
  readonly resume: Program;
  /** A function without effect. */
  readonly pass: Program;
  /** The active generation, 0 or 1. */
  readonly generation: number;
  /** Hops of one chain. A port has two chains. */
  readonly chainHops: number;
  readonly #programs: string;
  readonly #object: BpfObject;
  readonly #hops: BpfMap;
  readonly #codec: Codec;
  readonly #rowHops: number;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #slots: BpfMap;
  readonly #changed = new Map<number, Buffer>();

  constructor({ panel, objects }: HopsOptions) {
    const maps = join(panel, "maps");
    const spec = inspectObject(join(objects, "entry.bpf.o"));
    const rows = (name: string): Record<string, unknown>[] => {
      const map = BpfMap.open(join(maps, name));
      const { key, value } = spec.codecs(name);
      const all = map.entries().map(([k, v]) => ({ key: key.decode(k), value: value.decode(v) }));
      map.close();
      return all;
    };
    this.#hops = BpfMap.open(join(maps, "weir_hops"));
    this.#codec = spec.codecs("weir_hops").value;
    const row = this.#codec.decode(Buffer.alloc(this.#codec.size)) as unknown as { hop?: HopRow[] };
    this.#rowHops = row.hop?.length ?? 1;
    this.chainHops = row.hop ? row.hop.length / 2 : ABI1_CHAIN_HOPS;
    const config = rows("weir_config")[0] as { value: { gen: number } };
    this.generation = config.value.gen & 1;
    const names = rows("weir_names") as { key: { name: string }; value: { id: number } }[];
    this.#ports = new Map(names.map(({ key, value }) => [key.name, value.id]));
    this.#slots = BpfMap.open(join(maps, "weir_functions"));
    this.#object = loadObject(join(objects, "pass.bpf.o"), { pinDir: maps, anySize: true });
    this.pass = this.#object.program("weir_pass");
    this.#slots.update(u32(PASS_SLOT), u32(this.pass.fd));
    this.#programs = join(panel, "programs");
    this.entry = this.open("weir_entry");
    this.resume = this.open("weir_resume");
  }

  /** A pinned program by its name. */
  open(name: string): Program {
    const pin = readdirSync(this.#programs).find((file) => file.startsWith(`${name}_`));
    if (!pin) throw new Error(`find program ${name}: not pinned in ${this.#programs}`);
    return Program.open(join(this.#programs, pin));
  }

  /** First hop of a port's ingress chain; ports are named `instance:port`. The egress chain begins `chainHops` later. */
  ingress(port: string): number {
    const id = this.#ports.get(`port:${port}`);
    if (id === undefined) throw new Error(`find port ${port}: the panel has ${[...this.#ports.keys()].join(", ")}`);
    return id * 2 * this.chainHops;
  }

  /** First of the hops that are unused unless a measurement jumps to them. */
  get spare(): number {
    return SPARE_PORT * 2 * this.chainHops;
  }

  read(hop: number): HopRow {
    const row = this.#rowOf(hop)[hop % this.#rowHops];
    if (!row) throw new Error(`read hop ${hop}: no such row`);
    return row;
  }

  write(hop: number, row: HopRow): void {
    const at = this.#key(hop);
    const key = u32(at);
    const rows = this.#rowOf(hop);
    if (!this.#changed.has(at)) this.#changed.set(at, this.#hops.lookup(key) as Buffer);
    rows[hop % this.#rowHops] = row;
    const value = this.#rowHops === 1 ? row : { hop: rows };
    this.#hops.update(key, this.#codec.encode(value as unknown as Record<string, number>));
  }

  /** All hops of a hop's row. */
  #rowOf(hop: number): HopRow[] {
    const bytes = this.#hops.lookup(u32(this.#key(hop)));
    if (!bytes) return [];
    const row = this.#codec.decode(bytes) as unknown as HopRow & { hop: HopRow[] };
    return this.#rowHops === 1 ? [row] : row.hop;
  }

  #key(hop: number): number {
    if (this.#rowHops === 1) return this.generation * ABI1_HOPS + hop;
    return Math.floor(hop / this.#rowHops) * 2 + this.generation;
  }

  /** Replaces the chain that begins at `first` by a jump to spare rows with `rows`. */
  detour(first: number, rows: readonly HopRow[]): void {
    for (const [i, row] of rows.entries()) this.write(this.spare + i, this.#of(first, row));
    this.write(first, this.#of(first, { op: OP.jump, flags: 0, slot: 0, instance: 0, target: this.spare }));
  }

  /** Ends the chain that begins at `first` with `row`. */
  end(first: number, row: HopRow): void {
    this.write(first, this.#of(first, row));
  }

  /** In ABI 1 a row contains the port of its chain. */
  #of(first: number, row: HopRow): HopRow {
    return this.#rowHops === 1 ? { ...row, port: Math.floor(first / (2 * this.chainHops)) } : row;
  }

  close(): void {
    for (const [key, row] of this.#changed) this.#hops.update(u32(key), row);
    this.#changed.clear();
    this.#slots.delete(u32(PASS_SLOT));
    this.#object.close();
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
