import type { BpfObject, Codec } from "../kernel/index.ts";

/** Which rows go: those that have all of the fields named. */
export interface Criteria {
  zone?: number;
  owner?: number;
  service?: number;
  backend?: number;
  /** True: only those that have expired. */
  expired?: true;
}

/** What one sweep did: rows removed, and rows that stayed and live. */
export interface Swept {
  removed: number;
  living: number;
}

/** `WEIR_SWEEP_*` of `bpf/flows.bpf.c`, in its order. */
const FIELDS = ["zone", "owner", "service", "backend", "expired"] as const;
/** `WEIR_FLOW_CUTS`. */
const CUTS = 1024;
const FRAME = Buffer.alloc(64);
const ZERO = Buffer.alloc(4);

/** Removes rows by programs of its own, under the buckets' locks. They are loaded at first use. */
export class Sweeper {
  readonly #load: () => BpfObject;
  readonly #row: Codec;
  #object: BpfObject | undefined;

  /** @param row of `struct weir_flow_sweep` */
  constructor(load: () => BpfObject, row: Codec) {
    this.#load = load;
    this.#row = row;
  }

  /** Looks at buckets `from` to `from + count`. @throws Error if no field is named: that would be all rows or none */
  sweep(criteria: Criteria, from: number, count: number): Swept {
    const named = FIELDS.filter((field) => criteria[field] !== undefined);
    if (named.length === 0) throw new Error("remove flows: say which (zone, owner, service, backend or expired)");
    const by = named.reduce((flags, field) => flags | (1 << FIELDS.indexOf(field)), 0);
    const { expired: _, ...fields } = criteria;
    return this.#run("weir_flow_sweep", count, { ...fields, by, next: from });
  }

  /** Removes the rows that these references are to; returns how many were still there. */
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
