import { KernelError } from "../errors.ts";
import { ifindexOf } from "./link.ts";
import {
  attr,
  attributeLength,
  attributes,
  FLAG,
  findAttribute,
  nest,
  type Reply,
  type Request,
  string,
  text,
  u32,
  u64,
} from "./message.ts";
import { type At, type Refusal, refused, withNetlink } from "./socket.ts";

const RTM = { qdisc: 36, tclass: 40 };
const TCA = { kind: 1, options: 2, stats2: 7, sizes: 8 };
const SIZES = { base: 1, data: 2 };
const HTB = { parameters: 1, init: 2, rate64: 6, ceil64: 7 };
const STATS = { basic: 1, queue: 3, packets64: 8 };
const HEADER = 20;
const TBF = { parameters: 1, rate64: 4, burst: 6 };
const FQ = { limit: 1, flowLimit: 2, pacing: 5, horizon: 14 };
const HTB_VERSION = 3;
const LINK_LAYER_ETHERNET = 1;
/** Nanoseconds per tick of the packet scheduler. */
const TICK_NS = 64;
const MAX_U32 = 0xffffffff;

/** TC_H_ROOT: the parent handle of a root qdisc. */
export const TC_ROOT = 0xffffffff;
/** Handle `1:10` in tc's notation is `handle(1, 0x10)`. */
export const handle = (major: number, minor = 0): number => ((major << 16) | minor) >>> 0;
export const formatHandle = (value: number): string =>
  `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;

/** Rates in bit/s as HTB counts them, including Ethernet headers; sizes in bytes. */
export interface HtbClass {
  rate: number | bigint;
  /** Default: the rate. */
  ceil?: number | bigint;
  burst: number;
  /** Default: `burst`. */
  cburst?: number;
  /** Bytes that a class may send per turn among its siblings. */
  quantum: number;
  /** 0 is served first, 7 last. */
  prio?: number;
}

/**
 * A token bucket over a bfifo. A GSO packet larger than `burst` is segmented when it is queued; any other packet larger
 * than it is dropped, so `burst` must be at least a frame.
 */
export interface Tbf {
  /** bit/s. */
  rate: number | bigint;
  /** Bytes. */
  burst: number;
  /** Size of the queue, bytes. */
  limit: number;
}

/** Holds packets until the time stamped on them, in order of these times, without pacing. */
export interface Fq {
  /** The most queued packets, in total and per flow. */
  limit: number;
  flowLimit: number;
  /** Packets with a time further ahead are dropped, µs. */
  horizon: number;
}

/**
 * What a root qdisc charges for a packet, instead of its size: `table`, indexed by its size less `header`. A packet
 * beyond the end of the table is charged as several.
 */
export interface SizeTable {
  header: number;
  /** At most 65535 each. */
  table: readonly number[];
}

/** One change in a batch. `set` creates or changes; `remove` of a missing object succeeds. */
export type TcChange =
  | { op: "set"; kind: "htb"; handle: number; parent?: number; defaultClass?: number; sizes?: SizeTable }
  | { op: "set"; kind: "htb-class"; handle: number; parent: number; htb: HtbClass }
  | { op: "set"; kind: "bfifo"; handle: number; parent: number; limit: number }
  | ({ op: "set"; kind: "tbf"; handle: number; parent: number } & Tbf)
  | ({ op: "set"; kind: "fq"; handle: number; parent: number } & Fq)
  | { op: "remove"; kind: "qdisc"; handle?: number; parent: number }
  | { op: "remove"; kind: "class"; handle: number };

export interface TcStats {
  bytes: bigint;
  packets: bigint;
  drops: number;
  overlimits: number;
  /** Queued bytes and packets. */
  backlog: number;
  queued: number;
}
export interface QdiscInfo {
  ifindex: number;
  kind: string;
  handle: number;
  parent: number;
  stats: TcStats;
}
/** A class. For `htb` rates are in bit/s. */
export interface ClassInfo extends QdiscInfo {
  htb: { rate: bigint; ceil: bigint; quantum: number; prio: number } | undefined;
}

/** Some changes of a batch were refused; the others are in force. */
export class TcError extends KernelError {
  /** By index in the batch. */
  readonly failures: readonly { index: number; error: KernelError }[];
  override name = "TcError";

  constructor(device: string | number, failures: readonly { index: number; error: KernelError }[], total: number) {
    super(`change traffic control of device ${device}: ${failures.length} of ${total} refused`, {
      code: "tc-refused",
      errno: failures[0]?.error.errno,
      cause: failures[0]?.error,
      hint: failures[0]?.error.message,
    });
    this.failures = failures;
  }
}

function header(ifindex: number, own: number, parent: number): Buffer {
  const body = Buffer.alloc(HEADER);
  body.writeInt32LE(ifindex, 4);
  body.writeUInt32LE(own >>> 0, 8);
  body.writeUInt32LE(parent >>> 0, 12);
  return body;
}

const bytesPerSecond = (bits: number | bigint): bigint => {
  const value = typeof bits === "bigint" ? bits : BigInt(Math.round(bits));
  return value < 8n ? 1n : (value + 4n) / 8n;
};

/** HTB's burst is the time that it takes at the rate. */
function ticks(bytes: number, rate: bigint): number {
  return Math.min(MAX_U32, Math.max(1, Math.ceil((bytes * 1e9) / Number(rate) / TICK_NS)));
}

function rateSpec(rate: bigint): Buffer {
  const spec = Buffer.alloc(12);
  spec.writeUInt8(LINK_LAYER_ETHERNET, 1);
  spec.writeUInt32LE(rate > BigInt(MAX_U32) ? MAX_U32 : Number(rate), 8);
  return spec;
}

function htbParameters(htb: HtbClass): Buffer {
  const rate = bytesPerSecond(htb.rate);
  const ceil = bytesPerSecond(htb.ceil ?? htb.rate);
  const tail = Buffer.alloc(20);
  tail.writeUInt32LE(ticks(htb.burst, rate), 0);
  tail.writeUInt32LE(ticks(htb.cburst ?? htb.burst, ceil), 4);
  tail.writeUInt32LE(htb.quantum, 8);
  tail.writeUInt32LE(htb.prio ?? 0, 16);
  const parameters = attr(HTB.parameters, Buffer.concat([rateSpec(rate), rateSpec(ceil), tail]));
  return nest(TCA.options, u64(HTB.rate64, rate), u64(HTB.ceil64, ceil), parameters);
}

function htbInit(defaultClass = 0): Buffer {
  const glob = Buffer.alloc(20);
  glob.writeUInt32LE(HTB_VERSION, 0);
  glob.writeUInt32LE(10, 4); // rate2quantum, unused: every class names its quantum
  glob.writeUInt32LE(defaultClass, 8);
  return nest(TCA.options, attr(HTB.init, glob));
}

function sizeTable({ header: overhead, table }: SizeTable): Buffer {
  const base = Buffer.alloc(24);
  base.writeInt32LE(-overhead, 4);
  base.writeUInt32LE(LINK_LAYER_ETHERNET, 8);
  base.writeUInt32LE(table.length, 20);
  const data = Buffer.alloc(2 * table.length);
  for (const [index, size] of table.entries()) data.writeUInt16LE(size, 2 * index);
  return nest(TCA.sizes, attr(SIZES.base, base), attr(SIZES.data, data));
}

function tbfParameters({ rate: bits, burst, limit }: Tbf): Buffer {
  const rate = bytesPerSecond(bits);
  const noPeak = Buffer.alloc(12);
  const tail = Buffer.alloc(12);
  tail.writeUInt32LE(limit, 0);
  tail.writeUInt32LE(ticks(burst, rate), 4);
  const parameters = attr(TBF.parameters, Buffer.concat([rateSpec(rate), noPeak, tail]));
  return nest(TCA.options, parameters, u64(TBF.rate64, rate), u32(TBF.burst, burst));
}

const fqParameters = ({ limit, flowLimit, horizon }: Fq): Buffer =>
  nest(TCA.options, u32(FQ.limit, limit), u32(FQ.flowLimit, flowLimit), u32(FQ.pacing, 0), u32(FQ.horizon, horizon));

const SET = FLAG.request | FLAG.create;
const OFFSET = { create: 0, remove: 1, get: 2 };

function request(ifindex: number, change: TcChange): Request {
  if (change.op === "remove") {
    const type = (change.kind === "qdisc" ? RTM.qdisc : RTM.tclass) + OFFSET.remove;
    const parent = change.kind === "qdisc" ? change.parent : 0;
    return { type, flags: FLAG.request, body: header(ifindex, change.handle ?? 0, parent) };
  }
  switch (change.kind) {
    case "htb": {
      const body = [header(ifindex, change.handle, change.parent ?? TC_ROOT), text(TCA.kind, "htb")];
      // HTB cannot be changed in place, so an existing equal one counts as set.
      return {
        type: RTM.qdisc,
        flags: SET | FLAG.exclusive,
        body: Buffer.concat([
          ...body,
          htbInit(change.defaultClass),
          ...(change.sizes ? [sizeTable(change.sizes)] : []),
        ]),
      };
    }
    case "htb-class": {
      const body = [header(ifindex, change.handle, change.parent), text(TCA.kind, "htb"), htbParameters(change.htb)];
      return { type: RTM.tclass, flags: SET, body: Buffer.concat(body) };
    }
    case "bfifo": {
      const limit = Buffer.alloc(4);
      limit.writeUInt32LE(change.limit);
      const body = [header(ifindex, change.handle, change.parent), text(TCA.kind, "bfifo"), attr(TCA.options, limit)];
      return { type: RTM.qdisc, flags: SET | FLAG.replace, body: Buffer.concat(body) };
    }
    case "tbf": {
      const body = [header(ifindex, change.handle, change.parent), text(TCA.kind, "tbf"), tbfParameters(change)];
      return { type: RTM.qdisc, flags: SET | FLAG.replace, body: Buffer.concat(body) };
    }
    case "fq": {
      const body = [header(ifindex, change.handle, change.parent), text(TCA.kind, "fq"), fqParameters(change)];
      return { type: RTM.qdisc, flags: SET | FLAG.replace, body: Buffer.concat(body) };
    }
  }
}

function describe(change: TcChange): string {
  const where = "parent" in change && change.parent !== undefined ? ` at ${formatHandle(change.parent)}` : "";
  return `${change.op} ${change.kind} ${formatHandle(change.handle ?? 0)}${where}`;
}

/** Removing a missing object succeeds; "Invalid handle" means that another qdisc is in its place. */
function isDone(change: TcChange, { errno, text }: Refusal): boolean {
  if (change.op === "set") return change.kind === "htb" && errno === "EEXIST";
  return errno === "ENOENT" || errno === "ENODEV" || (errno === "EINVAL" && text === "Invalid handle");
}

/**
 * Applies changes to a device's traffic control in order, about 20 µs each. A refused one does not stop the others.
 * @throws TcError with the failure of each refused change; KernelError `device-missing`
 */
export function changeTc(device: string | number, changes: readonly TcChange[], at?: At): void {
  withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const refusals = netlink.send(changes.map((change) => request(ifindex, change)));
    const failures = refusals.flatMap((refusal) => {
      const change = changes[refusal.index];
      if (!change || isDone(change, refusal)) return [];
      return [{ index: refusal.index, error: refused(describe(change), refusal, "tc-refused") }];
    });
    if (failures.length > 0) throw new TcError(device, failures, changes.length);
  });
}

function readStats(bytes: Buffer | undefined): TcStats {
  const found = attributes(bytes ?? Buffer.alloc(0));
  const basic = found.get(STATS.basic);
  const packets = found.get(STATS.packets64);
  const queue = found.get(STATS.queue);
  const count = (index: number) => (queue && queue.length >= 4 * (index + 1) ? queue.readUInt32LE(4 * index) : 0);
  return {
    bytes: basic ? basic.readBigUInt64LE(0) : 0n,
    packets: packets ? packets.readBigUInt64LE(0) : BigInt(basic ? basic.readUInt32LE(8) : 0),
    queued: count(0),
    backlog: count(1),
    drops: count(2),
    overlimits: count(4),
  };
}

function readQdisc({ body }: Reply): QdiscInfo {
  const found = attributes(body.subarray(HEADER));
  return {
    ifindex: body.readInt32LE(4),
    kind: string(found, TCA.kind) ?? "",
    handle: body.readUInt32LE(8),
    parent: body.readUInt32LE(12),
    stats: readStats(found.get(TCA.stats2)),
  };
}

function readClass(reply: Reply): ClassInfo {
  const info = readQdisc(reply);
  if (info.kind !== "htb") return { ...info, htb: undefined };
  const options = attributes(attributes(reply.body.subarray(HEADER)).get(TCA.options) ?? Buffer.alloc(0));
  const parameters = options.get(HTB.parameters);
  if (!parameters || parameters.length < 44) return { ...info, htb: undefined };
  const rate = (wide: number, at: number) =>
    (options.get(wide)?.readBigUInt64LE() ?? BigInt(parameters.readUInt32LE(at))) * 8n;
  const htb = {
    rate: rate(HTB.rate64, 8),
    ceil: rate(HTB.ceil64, 20),
    quantum: parameters.readUInt32LE(32),
    prio: parameters.readUInt32LE(40),
  };
  return { ...info, htb };
}

/** All qdiscs of a namespace, or of one device. */
export function qdiscs(at?: At, device?: string | number): QdiscInfo[] {
  return withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const all = netlink.dump(RTM.qdisc + OFFSET.get, header(ifindex ?? 0, 0, 0)).map(readQdisc);
    return all.filter((qdisc) => ifindex === undefined || qdisc.ifindex === ifindex);
  });
}

/** The classes of a device, with counters. */
export function classes(device: string | number, at?: At): ClassInfo[] {
  return withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    return netlink.dump(RTM.tclass + OFFSET.get, header(ifindex, 0, 0)).map(readClass);
  });
}

/** An HTB class as the kernel has it. */
export interface HtbRate {
  handle: number;
  /** bit/s. */
  rate: bigint;
  /** Bytes. */
  quantum: number;
  /** The handle of its queue; 0: it has classes below it, or the queue that the kernel gives a class without one. */
  queue: number;
}

/** The HTB classes of a device, possibly thousands. */
export function htbRates(device: string | number, at?: At): HtbRate[] {
  return withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const all = netlink.dumpAs(RTM.tclass + OFFSET.get, header(ifindex, 0, 0), readHtbRate);
    return all.filter((one) => one !== undefined);
  });
}

const HTB_KIND = Buffer.from("htb\0");

function readHtbRate({ body }: Reply): HtbRate | undefined {
  const kind = findAttribute(body, TCA.kind, HEADER, body.length);
  const options = findAttribute(body, TCA.options, HEADER, body.length);
  if (kind < 0 || options < 0 || body.compare(HTB_KIND, 0, 4, kind, kind + 4) !== 0) return undefined;
  const end = options + attributeLength(body, options);
  const parameters = findAttribute(body, HTB.parameters, options, end);
  if (parameters < 0 || attributeLength(body, parameters) < 44) return undefined;
  const wide = findAttribute(body, HTB.rate64, options, end);
  const bytes = wide < 0 ? BigInt(body.readUInt32LE(parameters + 8)) : body.readBigUInt64LE(wide);
  const quantum = body.readUInt32LE(parameters + 32);
  return { handle: body.readUInt32LE(8), rate: bytes * 8n, quantum, queue: body.readUInt32LE(16) };
}

/** Queued bytes of some classes of a device by handle; a class that does not exist has none. */
export function classBacklogs(device: string | number, handles: readonly number[], at?: At): Map<number, number> {
  return withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const backlogs = new Map<number, number>();
    for (const own of handles) {
      // without the flag some kernels only notify the multicast group
      const reply = netlink.request(RTM.tclass + OFFSET.get, header(ifindex, own, 0), FLAG.echo);
      if ("body" in reply) backlogs.set(own, readClass(reply).stats.backlog);
      else if (reply.errno !== "ENOENT") throw refused(`read class ${formatHandle(own)} of device ${device}`, reply);
    }
    return backlogs;
  });
}
