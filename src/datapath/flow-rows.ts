import { stringifyIp } from "ip-bigint";
import type { Codec } from "../kernel/index.ts";
import { FLOW_STATES, type FlowState, flowSeconds } from "./flow-states.ts";

/** Ways of a bucket, `WEIR_FLOW_WAYS`, and where its rows begin. */
export const FLOW_WAYS = 32;
const EXPIRES = FLOW_WAYS * 2;
const OWNERS = EXPIRES + FLOW_WAYS * 4;
const ROWS = OWNERS + FLOW_WAYS * 2 + 64;

/** A tuple in the direction of a flow's first packet. */
export interface FlowTuple {
  src: string;
  dst: string;
  /** ICMP echo: the identifier, in both. */
  srcPort: number;
  dstPort: number;
}

/** References to a flow's row and its alias (0: none), each place << 32 | stamp: of this use of the row, no later one. */
export interface Cut {
  row: bigint;
  twin: bigint;
}

/** A row of the table. */
export interface FlowRow {
  /** A flow, or a second way to find one: by its translated tuple, or by a fragmented datagram's identification. */
  kind: "flow" | "translated" | "datagram";
  zone: number;
  owner: number;
  family: 4 | 6;
  protocol: number;
  state: FlowState;
  original: FlowTuple;
  /** The same as `original` unless the flow is translated. */
  translated: FlowTuple;
  service: number;
  backend: number;
  generation: number;
  /** The opener's, the answerer's. */
  identity: readonly [number, number];
  data: bigint;
  /** Seconds since it was opened. */
  age: number;
  /** Seconds until it ends unless a packet comes; not above 0: it has ended. */
  left: number;
  cut: Cut;
}

interface RawTuple {
  zone: number;
  family: number;
  protocol: number;
  src: Buffer;
  dst: Buffer;
  src_port: number;
  dst_port: number;
}
interface Raw {
  original: RawTuple;
  translated: RawTuple;
  stamp: number;
  state: number;
  kind: number;
  twin: bigint;
  service: number;
  backend: number;
  generation: number;
  identity: [number, number];
  data: bigint;
  opened: number;
}
const KINDS = ["flow", "translated", "datagram"] as const;

/** Rows in use of one bucket, as the kernel gives it; `now` is the table's time. */
export function* rowsOfBucket(bytes: Buffer, bucket: number, now: number, codec: Codec): Generator<FlowRow> {
  for (let way = 0; way < FLOW_WAYS; way++) {
    if (bytes.readUInt16LE(way * 2) === 0) continue;
    const row = codec.decode(bytes.subarray(ROWS + way * codec.size)) as unknown as Raw;
    const expires = bytes.readUInt32LE(EXPIRES + way * 4);
    yield {
      kind: KINDS[row.kind] ?? "flow",
      zone: row.original.zone,
      owner: bytes.readUInt16LE(OWNERS + way * 2),
      family: (row.original.family & 0xf) as 4 | 6,
      protocol: row.original.protocol,
      state: FLOW_STATES[row.state] ?? "none",
      original: tuple(row.original),
      translated: tuple(row.translated),
      service: row.service,
      backend: row.backend,
      generation: row.generation,
      identity: row.identity,
      data: row.data,
      age: flowSeconds(row.opened, now),
      left: flowSeconds(now, expires),
      cut: { row: reference(bucket * FLOW_WAYS + way, row.stamp), twin: row.kind === 0 ? row.twin : 0n },
    };
  }
}

const reference = (place: number, stamp: number): bigint => (BigInt(place) << 32n) | BigInt(stamp);

function tuple({ family, src, dst, src_port, dst_port }: RawTuple): FlowTuple {
  return { src: text(family, src), dst: text(family, dst), srcPort: swap(src_port), dstPort: swap(dst_port) };
}

function text(family: number, bytes: Buffer): string {
  const version = (family & 0xf) === 4 ? 4 : 6;
  return stringifyIp({ number: BigInt(`0x${bytes.toString("hex", 0, version === 4 ? 4 : 16)}`), version });
}

/** Ports are in network order in the row, as numbers of this machine's order here. */
const swap = (port: number): number => ((port & 0xff) << 8) | (port >> 8);
