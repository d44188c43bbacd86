import { check } from "./errors.ts";
import { bpf } from "./ffi.ts";

/** The properties of a map that batches need. */
interface Table {
  readonly fd: number;
  readonly name: string;
  readonly keySize: number;
  readonly bufferSize: number;
  readonly maxEntries: number;
}

const ENOENT = -2;
const EINVAL = -22;
const ENOSPC = -28;
const ENOTSUPP = -524;
const FIRST = 256;
const MOST = 16384;
const unsupported = (result: number) => result === ENOTSUPP || result === EINVAL;

/** All entries; `undefined` if the kernel has no batch look-up for this type of map. */
export function lookupBatch(map: Table): [Buffer, Buffer][] | undefined {
  const found: [Buffer, Buffer][] = [];
  const isRead = readBatches(map, (keys, values, count) => take(found, map, keys, values, count));
  return isRead ? found : undefined;
}

/** Passes all entries to `onBatch`, keys and values concatenated. Returns false if the kernel has no batch look-up. */
export function readBatches(map: Table, onBatch: (keys: Buffer, values: Buffer, count: number) => void): boolean {
  const count = Buffer.alloc(4);
  let size = Math.min(FIRST, map.maxEntries);
  let position: Buffer | null = null;
  for (;;) {
    const keys = Buffer.allocUnsafe(size * map.keySize);
    const values = Buffer.allocUnsafe(size * map.bufferSize);
    const next = Buffer.alloc(Math.max(4, map.keySize));
    count.writeUInt32LE(size);
    const result = bpf.bpf_map_lookup_batch(map.fd, position, next, keys, values, count, null) as number;
    if (unsupported(result) && !position) return false;
    // a bucket of the hash is larger than the batch
    if (result === ENOSPC && size < map.maxEntries) {
      size = Math.min(size * 4, map.maxEntries);
      continue;
    }
    if (result !== ENOENT) check(result, `list map ${map.name}`, "list-failed");
    onBatch(keys, values, count.readUInt32LE());
    if (result === ENOENT) return true;
    position = next;
    size = Math.min(size * 4, MOST, map.maxEntries);
  }
}

function take(found: [Buffer, Buffer][], map: Table, keys: Buffer, values: Buffer, count: number): void {
  for (let i = 0; i < count; i++) {
    const key = keys.subarray(i * map.keySize, (i + 1) * map.keySize);
    found.push([key, values.subarray(i * map.bufferSize, (i + 1) * map.bufferSize)]);
  }
}

type Pairs = readonly (readonly [Buffer, Buffer])[];

/** Writes `pairs`. Returns index and errno of the first that was refused; `undefined`: all are written. */
export function updateInBatches(map: Table, pairs: Pairs, flags: number): { index: number; errno: number } | undefined {
  for (let start = 0; start < pairs.length; start += MOST) {
    const part = pairs.slice(start, start + MOST);
    const { result, done } = updateOnce(map, part, flags);
    if (result >= 0) continue;
    if (!unsupported(result)) return { index: start + done, errno: -result };
    const failed = updateOneByOne(map, part, flags);
    if (failed) return { index: start + failed.index, errno: failed.errno };
  }
  return undefined;
}

/**
 * Writes each of `pairs` by itself. Returns those that were refused. After a refusal, the rest of its batch is written
 * one by one.
 */
export function updateEach(map: Table, pairs: Pairs, flags: number): { index: number; errno: number }[] {
  const refused: { index: number; errno: number }[] = [];
  for (let start = 0; start < pairs.length; start += MOST) {
    const part = pairs.slice(start, start + MOST);
    const { result, done } = updateOnce(map, part, flags);
    if (result >= 0) continue;
    const first = unsupported(result) ? 0 : done;
    for (const [index, [key, value]] of part.slice(first).entries()) {
      const one = bpf.bpf_map_update_elem(map.fd, key, value, flags) as number;
      if (one < 0) refused.push({ index: start + first + index, errno: -one });
    }
  }
  return refused;
}

function updateOnce(map: Table, pairs: Pairs, flags: number): { result: number; done: number } {
  const keys = Buffer.concat(pairs.map(([key]) => key));
  const values = Buffer.concat(pairs.map(([, value]) => value));
  const count = Buffer.alloc(4);
  count.writeUInt32LE(pairs.length);
  const options = { sz: 24, elem_flags: flags, flags: 0 };
  const result = bpf.bpf_map_update_batch(map.fd, keys, values, count, options) as number;
  return { result, done: count.readUInt32LE() };
}

function updateOneByOne(map: Table, pairs: Pairs, flags: number): { index: number; errno: number } | undefined {
  for (const [index, [key, value]] of pairs.entries()) {
    const result = bpf.bpf_map_update_elem(map.fd, key, value, flags) as number;
    if (result < 0) return { index, errno: -result };
  }
  return undefined;
}
