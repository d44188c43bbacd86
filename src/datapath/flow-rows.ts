import { stringifyIp } from "ip-bigint";
import type { Codec } from "../kernel/index.ts";
import { FLOW_STATES, type FlowState, flowSeconds } from "./flow-states.ts";

/** Ways per bucket (`WEIR_FLOW_WAYS`), and the offset of its rows. */
export const FLOW_WAYS = 32;
const EXPIRES = FLOW_WAYS * 2;
const OWNERS = EXPIRES + FLOW_WAYS * 4;
const ROWS = OWNERS + FLOW_WAYS * 2 + 64;

/** A tuple in the direction of the flow's first packet. */
export interface FlowTuple {
  src: string;
  dst: string;
  /** For ICMP echo both ports are the identifier. */
  srcPort: number;
  dstPort: number;
}

/**
 * References to a flow's row and its alias (0: none), each place << 32 | stamp. The stamp changes when the row is
 * reused.
 */
export interface Cut {
  row: bigint;
  twin: bigint;
}

/** A row of the flow table. */
export interface FlowRow {
  /** A flow, or an alias of it: by its translated tuple, or by the identification of a fragmented datagram. */
  kind: "flow" | "translated" | "datagram";
  zone: number;
  owner: number;
  family: 4 | 6;
  protocol: number;
  state: FlowState;
  original: FlowTuple;
  /** Equal to `original` unless the flow is translated. */
  translated: FlowTuple;
  service: number;
  backend: number;
  generation: number;
  /** Of the flow's initiator and responder. */
  identity: readonly [number, number];
  data: bigint;
  /** Seconds since the flow was opened. */
  age: number;
  /** Seconds until the flow expires without another packet; 0 or less: it has expired. */
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

/** Decodes the rows in use in one bucket. @param now the table's time */
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

/** Converts a port in network order, read as a number of this machine's order. */
const swap = (port: number): number => ((port & 0xff) << 8) | (port >> 8);
