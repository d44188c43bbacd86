import { createHash } from "node:crypto";
import { lookupBatch, readBatches, updateEach, updateInBatches } from "./batch.ts";
import type { TypeIn } from "./carry.ts";
import { check, errnoName, KernelError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { bpf, lazy } from "./ffi.ts";
import { mapInfo } from "./info.ts";
import { kernelBtf } from "./kernel-btf.ts";
import { openPinned, pinObject } from "./pin.ts";

/** Map types as numbered by the kernel. */
// biome-ignore format: ten a line
const TYPES = [
  "unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace", "cgroup_array", "lru_hash",
  "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap", "cpumap", "xskmap", "sockhash", "cgroup_storage",
  "reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack", "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage",
  "bloom_filter", "user_ringbuf", "cgrp_storage", "arena",
] as const;
export type MapType = (typeof TYPES)[number];

const ENOENT = -2;
const UPDATE_CODES: Readonly<Record<string, string>> = {
  E2BIG: "map-full",
  ENOSPC: "map-full",
  EEXIST: "exists",
  ENOENT: "missing",
};
const UPDATE_HINTS: Readonly<Record<string, string>> = {
  E2BIG: "the map is full, or the index is beyond it",
  ENOSPC: "the map is full",
  EEXIST: "the key is there already",
  ENOENT: "the key is not there",
};

/** Flags of `update`. `lock`, also a flag of `lookup`: copies the value under the spin lock in it. */
export const UPDATE = { any: 0, create: 1, replace: 2, lock: 4 } as const;

/** The number of values per key in a per-CPU map. */
export const possibleCpus = lazy(() => check(bpf.libbpf_num_possible_cpus() as number, "count CPUs", "cpus-unknown"));

/**
 * A BPF map. Keys and values are raw bytes, encoded and decoded by `codec`. In a per-CPU map a value has one slot per
 * possible CPU, each of `valueSize` rounded up to 8 bytes.
 */
export class BpfMap {
  /** Name from the source; for a map opened by its pin the kernel's, at most 15 characters. */
  readonly name: string;
  readonly type: MapType;
  /** Bytes of a key. */
  readonly keySize: number;
  /** Bytes of a value, or of one CPU's slot before rounding. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bytes that `lookup` returns and `update` takes. */
  readonly bufferSize: number;
  readonly id: number;
  /** `BPF_F_*` flags with which it was created. */
  readonly flags: number;
  /** The kernel's number of `type`. */
  readonly typeNumber: number;
  readonly #fd: Fd;
  readonly #types: { btf: number; key: number; value: number };

  /** Takes over `fd`. Programs use `BpfObject.map` and `BpfMap.open`. */
  constructor(fd: Fd, name?: string) {
    const info = mapInfo(fd.number);
    this.#fd = fd;
    this.id = info.id;
    this.name = name ?? info.name;
    this.typeNumber = info.type;
    this.type = TYPES[info.type] ?? "unspec";
    this.keySize = info.key_size;
    this.valueSize = info.value_size;
    this.maxEntries = info.max_entries;
    this.flags = info.map_flags;
    this.#types = { btf: info.btf_id, key: info.btf_key_type_id, value: info.btf_value_type_id };
    this.bufferSize = this.isPerCpu ? this.slotSize * possibleCpus() : info.value_size;
  }

  /** Opens a pinned map. @throws KernelError `not-pinned` */
  static open(path: string): BpfMap {
    return new BpfMap(new Fd(`map ${path}`, openPinned(path, "map")));
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Whether it has a value for each possible CPU. */
  get isPerCpu(): boolean {
    return this.type.includes("percpu");
  }

  /** Whether keys are the numbers below `maxEntries`, each of which has a value. */
  get isArray(): boolean {
    return this.type.endsWith("array");
  }

  /** Size of one CPU's slot, bytes. */
  get slotSize(): number {
    return Math.ceil(this.valueSize / 8) * 8;
  }

  /** Types of key and value from the BTF with which the map was created; undefined if it has none. */
  types(): { key: TypeIn; value: TypeIn } | undefined {
    const btf = kernelBtf(this.#types.btf);
    return btf && { key: { btf, type: this.#types.key }, value: { btf, type: this.#types.value } };
  }

  /** The value, or `undefined` if there is none. @param flags `UPDATE.any` or `lock` */
  lookup(key: Buffer, flags: number = UPDATE.any): Buffer | undefined {
    this.#checkKey(key);
    const value = Buffer.allocUnsafe(this.bufferSize);
    const result = bpf.bpf_map_lookup_elem_flags(this.fd, key, value, flags) as number;
    if (result === ENOENT) return undefined;
    check(result, `look up in map ${this.name}`, "lookup-failed");
    return value;
  }

  /**
   * Writes a value. @param flags `UPDATE.any`, `create` (fails if present) or `replace` (fails if absent)
   * @throws KernelError `map-full`, `exists`, `missing`, `map-size`, `update-failed`
   */
  update(key: Buffer, value: Buffer, flags: number = UPDATE.any): void {
    this.#checkKey(key);
    this.#checkValue(value);
    const result = bpf.bpf_map_update_elem(this.fd, key, value, flags) as number;
    if (result < 0) throw this.#updateError(-result);
  }

  /** Returns whether the key existed. */
  delete(key: Buffer): boolean {
    this.#checkKey(key);
    const result = bpf.bpf_map_delete_elem(this.fd, key) as number;
    if (result === ENOENT) return false;
    check(result, `delete from map ${this.name}`, "delete-failed");
    return true;
  }

  /** Keys one by one. Deleting the current key may restart the iteration; use `entries` then. */
  *keys(): Generator<Buffer> {
    let key: Buffer | null = null;
    for (;;) {
      const next = Buffer.alloc(this.keySize);
      const result = bpf.bpf_map_get_next_key(this.fd, key, next) as number;
      if (result === ENOENT) return;
      check(result, `list map ${this.name}`, "list-failed");
      yield next;
      key = next;
    }
  }

  /** All keys and values; in batches if the kernel supports them for this type (5.6). */
  entries(): [Buffer, Buffer][] {
    return lookupBatch(this) ?? this.#entriesOneByOne();
  }

  #entriesOneByOne(): [Buffer, Buffer][] {
    const found: [Buffer, Buffer][] = [];
    for (const key of [...this.keys()]) {
      const value = this.lookup(key);
      if (value) found.push([key, value]);
    }
    return found;
  }

  /** Writes many values. Stops at the first that the kernel refuses; the error has its index. */
  updateBatch(pairs: readonly (readonly [Buffer, Buffer])[], flags: number = UPDATE.any): void {
    for (const [key, value] of pairs) {
      this.#checkKey(key);
      this.#checkValue(value);
    }
    const failed = updateInBatches(this, pairs, flags);
    if (failed) throw this.#updateError(failed.errno, ` with row ${failed.index} of ${pairs.length}`);
  }

  /** Writes each value by itself. Returns those that the kernel refused, by index. */
  updateEach(
    pairs: readonly (readonly [Buffer, Buffer])[],
    flags: number = UPDATE.any,
  ): { index: number; error: KernelError }[] {
    for (const [key, value] of pairs) {
      this.#checkKey(key);
      this.#checkValue(value);
    }
    return updateEach(this, pairs, flags).map(({ index, errno }) => ({ index, error: this.#updateError(errno) }));
  }

  /** A digest of all keys and values in the kernel's order. Equal digests mean equal rows; different ones may, too. */
  digest(): string {
    const hash = createHash("sha1");
    const add = (keys: Buffer, values: Buffer, count: number) => {
      hash.update(keys.subarray(0, count * this.keySize)).update(values.subarray(0, count * this.bufferSize));
    };
    if (!readBatches(this, add)) for (const [key, value] of this.#entriesOneByOne()) add(key, value, 1);
    return hash.digest("base64");
  }

  /** Deletes keys, ignoring missing ones. Returns how many existed. One by one, since a delete takes only 0.6 µs. */
  deleteBatch(keys: readonly Buffer[]): number {
    return keys.reduce((count, key) => count + (this.delete(key) ? 1 : 0), 0);
  }

  /** Pins the map on a bpffs, so that it outlives this process. */
  pin(path: string): void {
    pinObject(this.fd, path, `map ${this.name}`);
  }

  /** Idempotent. A map of an object is closed with its object. */
  close(): void {
    this.#fd.close();
  }

  #updateError(errno: number, where = ""): KernelError {
    const name = errnoName(errno);
    const code = UPDATE_CODES[name] ?? "update-failed";
    return new KernelError(`update map ${this.name}${where}`, {
      code,
      errno: name,
      hint: UPDATE_HINTS[name],
    });
  }

  #checkKey(key: Buffer): void {
    if (key.length !== this.keySize) this.#badSize("key", key.length, this.keySize);
  }

  #checkValue(value: Buffer): void {
    if (value.length !== this.bufferSize) this.#badSize("value", value.length, this.bufferSize);
  }

  #badSize(what: string, got: number, expected: number): never {
    const hint = `a ${what} of ${got} bytes, ${expected} expected`;
    throw new KernelError(`use map ${this.name}`, { code: "map-size", hint });
  }
}
