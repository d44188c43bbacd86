import type { BpfObject, Codec } from "../kernel/index.ts";

/** Selects rows to remove: those with all of the given fields. */
export interface Criteria {
  zone?: number;
  owner?: number;
  service?: number;
  backend?: number;
  /** Only rows that have expired. */
  expired?: true;
}

/** Result of a sweep: rows removed, and live rows that remain. */
export interface Swept {
  removed: number;
  living: number;
}

/** `WEIR_SWEEP_*` in `bpf/flows.bpf.c`, in its order. */
const FIELDS = ["zone", "owner", "service", "backend", "expired"] as const;
/** `WEIR_FLOW_CUTS`: the most references in one call. */
const CUTS = 1024;
const FRAME = Buffer.alloc(64);
const ZERO = Buffer.alloc(4);

/** Removes rows with BPF programs, which hold the buckets' locks. Loads them on first use. */
export class Sweeper {
  readonly #load: () => BpfObject;
  readonly #row: Codec;
  #object: BpfObject | undefined;

  /** @param row codec of `struct weir_flow_sweep` */
  constructor(load: () => BpfObject, row: Codec) {
    this.#load = load;
    this.#row = row;
  }

  /** Sweeps buckets `from` to `from + count`. @throws Error if no field is given: that would select every row */
  sweep(criteria: Criteria, from: number, count: number): Swept {
    const named = FIELDS.filter((field) => criteria[field] !== undefined);
    if (named.length === 0)
      throw new Error("remove flows: name a criterion (zone, owner, service, backend or expired)");
    const by = named.reduce((flags, field) => flags | (1 << FIELDS.indexOf(field)), 0);
    const { expired: _, ...fields } = criteria;
    return this.#run("weir_flow_sweep", count, { ...fields, by, next: from });
  }

  /** Removes the referenced rows. Returns how many still existed. */
  cut(references: readonly bigint[]): number {
    let removed = 0;
    for (let from = 0; from < references.length; from += CUTS) {
      const part = references.slice(from, from + CUTS);
      const rows = part.map((reference, i) => [u32(i), u64(reference)] as const);
      this.#loaded().map("weir_flow_cuts").updateBatch(rows);
      removed += this.#run("weir_flow_cut", part.length, { next: 0 }).removed;
    }
    return removed;
  }

  close(): void {
    this.#object?.close();
  }

  #run(program: string, repeat: number, request: Record<string, number>): Swept {
    const object = this.#loaded();
    const row = object.map("weir_flow_sweeps");
    row.update(ZERO, this.#row.encode(request));
    object.program(program).testRun({ data: FRAME, repeat });
    const { removed = 0, living = 0 } = this.#row.decode(row.lookup(ZERO) as Buffer) as Record<string, number>;
    return { removed, living };
  }

  #loaded(): BpfObject {
    this.#object ??= this.#load();
    return this.#object;
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
