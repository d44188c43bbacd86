import koffi from "koffi";
import { lazy } from "./ffi.ts";

/** The fields of `__sk_buff` that a test run can set and reads back. Lengths in bytes. */
export interface SkbCtx {
  mark: number;
  priority: number;
  ingressIfindex: number;
  /** The device; it must exist in this thread's network namespace. 0: loopback. */
  ifindex: number;
  /** Five words. */
  cb: readonly number[];
  tstamp: bigint;
  /** The packet's length before segmentation; at least the frame's. */
  wireLen: number;
  gsoSegs: number;
  gsoSize: number;
}

/** `struct __sk_buff`; the fields between `napi_id` and `flow_keys` belong to other program types. */
export const skb = lazy(() =>
  koffi.struct({
    len: "uint32_t",
    pkt_type: "uint32_t",
    mark: "uint32_t",
    queue_mapping: "uint32_t",
    protocol: "uint32_t",
    vlan: koffi.array("uint32_t", 3),
    priority: "uint32_t",
    ingress_ifindex: "uint32_t",
    ifindex: "uint32_t",
    tc_index: "uint32_t",
    cb: koffi.array("uint32_t", 5),
    hash: "uint32_t",
    tc_classid: "uint32_t",
    data: "uint32_t",
    data_end: "uint32_t",
    napi_id: "uint32_t",
    socket: koffi.array("uint32_t", 13), // family, addresses, ports, data_meta; then padding
    flow_keys: "uint64_t",
    tstamp: "uint64_t",
    wire_len: "uint32_t",
    gso_segs: "uint32_t",
    sk: "uint64_t",
    gso_size: "uint32_t",
    tstamp_type: "uint32_t",
    hwtstamp: "uint64_t",
  }),
);

interface RawSkb {
  mark: number;
  priority: number;
  ingress_ifindex: number;
  ifindex: number;
  cb: Uint32Array | number[];
  tstamp: number | bigint;
  wire_len: number;
  gso_segs: number;
  gso_size: number;
}

const FIELDS = {
  mark: "mark",
  priority: "priority",
  ingressIfindex: "ingress_ifindex",
  ifindex: "ifindex",
  wireLen: "wire_len",
  gsoSegs: "gso_segs",
  gsoSize: "gso_size",
} as const;

export const contextSize = (): number => koffi.sizeof(skb());

export function writeContext(ctx: Partial<SkbCtx>): Buffer {
  const bytes = Buffer.alloc(contextSize());
  const offset = (field: string) => koffi.offsetof(skb(), field);
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = ctx[name as keyof typeof FIELDS];
    if (value !== undefined) bytes.writeUInt32LE(value >>> 0, offset(field));
  }
  for (const [i, word] of (ctx.cb ?? []).slice(0, 5).entries()) bytes.writeUInt32LE(word >>> 0, offset("cb") + 4 * i);
  if (ctx.tstamp !== undefined) bytes.writeBigUInt64LE(ctx.tstamp, offset("tstamp"));
  return bytes;
}

export function readContext(bytes: Buffer): SkbCtx {
  const raw = koffi.decode(bytes, skb()) as RawSkb;
  return {
    mark: raw.mark,
    priority: raw.priority,
    ingressIfindex: raw.ingress_ifindex,
    ifindex: raw.ifindex,
    cb: [...raw.cb],
    tstamp: BigInt(raw.tstamp),
    wireLen: raw.wire_len,
    gsoSegs: raw.gso_segs,
    gsoSize: raw.gso_size,
  };
}
