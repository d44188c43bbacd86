import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type BpfObject, type Codec, inspectObject, loadObject } from "../kernel/index.ts";

/** Rows of a bucket, and number of states with a timeout, as in `bpf/flow.h`. */
const WAYS = 32;
const STATES = 16;
/** A timeout longer than any run: an hour, in units of 2^27 ns. */
const HOUR = 26_822;
const WORKS = { nothing: 0, find: 1, answer: 2, see: 3, insert: 5 } as const;
const FRAME = Buffer.alloc(64);
const ZERO = u32(0);

/** A sequence of numbered flows: `struct track_burst` of `bpf/testing/burst.h`. */
export interface Burst {
  work: keyof typeof WORKS;
  /** Number of different flows; then the numbers repeat. */
  flows: number;
  next?: number;
  owner?: number;
  owners?: number;
  protocol?: number;
  /** Destination port after translation. */
  translate?: number;
  /** Units of 2^27 ns from now. */
  later?: number;
}

/** Programs that process numbered flows, loaded with maps of their own. */
export class Bursts {
  readonly object: BpfObject;
  readonly #row: Codec;

  /** @param name of the object, and `buckets` of a flow table that it has */
  constructor(objects: string, name: "track" | "hashes", buckets?: number) {
    const path = join(objects, `${name}.bpf.o`);
    this.object = loadObject(path, buckets === undefined ? {} : { maxEntries: { weir_flow_buckets: buckets } });
    this.#row = inspectObject(path).codecs("weir_track_bursts").value;
    if (buckets !== undefined) this.#begin(buckets);
  }

  /** Sets the flows of a thread's runs. */
  prepare(burst: Burst, thread = 0): void {
    const fields = {
      ...{ zone: 1, owner: 1, owners: 1, next: 0, protocol: 17, translate: 0, later: 0, pace: 0xffffffff },
      ...burst,
      work: WORKS[burst.work],
    };
    this.object.map("weir_track_bursts").update(u32(thread), this.#row.encode(fields));
  }

  /** Runs a program `times` times as this thread. Returns the mean ns of a run. */
  run(program: string, times: number, thread = 0): number {
    return this.object.program(program).testRun({ data: FRAME, ctx: { mark: thread }, repeat: times }).durationNs;
  }

  /** Like `run`, concurrently with other threads. */
  async runBeside(program: string, times: number, thread: number): Promise<number> {
    const run = { data: FRAME, ctx: { mark: thread }, repeat: times };
    return (await this.object.program(program).testRunBeside(run)).durationNs;
  }

  /** Throws unless all runs since `prepare` had this result. */
  expect(what: "found" | "opened", times: number, thread = 0): void {
    const row = this.#row.decode(this.object.map("weir_track_bursts").lookup(u32(thread)) as Buffer);
    if (Number(row[what]) !== times) {
      throw new Error(`measure flows: ${Number(row[what])} of ${times} were ${what}: ${JSON.stringify(row, text)}`);
    }
  }

  close(): void {
    this.object.close();
  }

  #begin(buckets: number): void {
    const bytes = randomBytes(64);
    const config = {
      mix: [bytes.readBigUInt64LE(0) | 1n, bytes.readBigUInt64LE(8) | 1n],
      key: Array.from({ length: 12 }, (_, i) => bytes.readUInt32LE(16 + 4 * i)),
      mask: buckets - 1,
      quota: buckets * WAYS,
      timeout: Array.from({ length: STATES }, () => HOUR),
    };
    this.object.map("weir_flow_config").update(ZERO, this.object.codecs("weir_flow_config").value.encode(config));
  }
}

const text = (_: string, value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
