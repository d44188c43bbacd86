/**
 * Builds frames with correct lengths and checksums for tests, and parses frames.
 * A frame is `ethernet({...}, ip4({...}, udp({...}, data)))`. A given field overrides the computed one; malformed
 * packets are made that way.
 */
import { type Family, familyOf, ipBytes, macBytes } from "../src/model/ip.ts";

export const ETH = { ip4: 0x0800, arp: 0x0806, ip6: 0x86dd } as const;
export const PROTO = { icmp: 1, tcp: 6, udp: 17, fragment: 44, icmp6: 58 } as const;

/** The payload of an Ethernet frame. */
export interface Layer3 {
  type: number;
  bytes: Buffer;
}
interface Pseudo {
  family: Family;
  src: Buffer;
  dst: Buffer;
}
/** Layer 4, built when the addresses are known. */
export type Layer4 = (pseudo: Pseudo) => { protocol: number; bytes: Buffer };

const NOTHING: Buffer = Buffer.alloc(0);
const u16 = (...words: number[]): Buffer => Buffer.from(words.flatMap((word) => [(word >> 8) & 0xff, word & 0xff]));
const u32 = (value: number): Buffer => u16(value >>> 16, value & 0xffff);
export const mac = (text: string): Buffer => Buffer.from(macBytes(text));
export const address = (text: string): Buffer => Buffer.from(ipBytes(text).subarray(0, familyOf(text) === 4 ? 4 : 16));

/** The internet checksum over the concatenated parts; only the last may have an odd length. */
export function checksum(...parts: Buffer[]): number {
  const bytes = Buffer.concat([...parts, Buffer.alloc(parts.reduce((sum, part) => sum + part.length, 0) % 2)]);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function pseudoHeader({ family, src, dst }: Pseudo, protocol: number, length: number): Buffer {
  return family === 4
    ? Buffer.concat([src, dst, u16(protocol, length)])
    : Buffer.concat([src, dst, u32(length), u32(protocol)]);
}

export function ethernet(link: { src: string; dst: string; type?: number }, { type, bytes }: Layer3): Buffer {
  return Buffer.concat([mac(link.dst), mac(link.src), u16(link.type ?? type), bytes]);
}

export interface Ip4 {
  src: string;
  dst: string;
  ttl?: number;
  id?: number;
  df?: boolean;
  mf?: boolean;
  /** In units of 8 bytes. */
  offset?: number;
  /** A multiple of 4 bytes. */
  options?: Buffer;
  version?: number;
  ihl?: number;
  length?: number;
  check?: number;
}

export function ip4(ip: Ip4, layer4: Layer4): Layer3 {
  const { options = NOTHING, version = 4, ihl = 5 + options.length / 4 } = ip;
  const [src, dst] = [address(ip.src), address(ip.dst)];
  const { protocol, bytes } = layer4({ family: 4, src, dst });
  const flags = (ip.df === true ? 0x4000 : 0) | (ip.mf === true ? 0x2000 : 0) | (ip.offset ?? 0);
  const header = Buffer.concat([
    Buffer.from([(version << 4) | ihl, 0]),
    u16(ip.length ?? 20 + options.length + bytes.length, ip.id ?? 1, flags),
    Buffer.from([ip.ttl ?? 64, protocol, 0, 0]),
    src,
    dst,
    options,
  ]);
  header.writeUInt16BE(ip.check ?? checksum(header), 10);
  return { type: ETH.ip4, bytes: Buffer.concat([header, bytes]) };
}

export interface Ip6 {
  src: string;
  dst: string;
  hopLimit?: number;
  version?: number;
  length?: number;
  /** Extension headers in order; each one's "next header" byte is filled in. */
  extensions?: { protocol: number; bytes: Buffer }[];
}

export function ip6(ip: Ip6, layer4: Layer4): Layer3 {
  const [src, dst] = [address(ip.src), address(ip.dst)];
  const { protocol, bytes } = layer4({ family: 6, src, dst });
  const extensions = ip.extensions ?? [];
  const following = [...extensions.slice(1).map((extension) => extension.protocol), protocol];
  const chain = extensions.map((extension, i) => {
    const copy = Buffer.from(extension.bytes);
    copy[0] = following[i] ?? protocol;
    return copy;
  });
  const payload = Buffer.concat([...chain, bytes]);
  const header = Buffer.concat([
    u32((ip.version ?? 6) * 0x10000000),
    u16(ip.length ?? payload.length),
    Buffer.from([extensions[0]?.protocol ?? protocol, ip.hopLimit ?? 64]),
    src,
    dst,
  ]);
  return { type: ETH.ip6, bytes: Buffer.concat([header, payload]) };
}

/** A packet of either family, by its addresses. */
export function ip(packet: { src: string; dst: string; ttl?: number }, layer4: Layer4): Layer3 {
  const { src, dst, ttl = 64 } = packet;
  return familyOf(src) === 4 ? ip4({ src, dst, ttl }, layer4) : ip6({ src, dst, hopLimit: ttl }, layer4);
}

/** Raw bytes as layer 4. */
export function raw(protocol: number, bytes: Buffer): Layer4 {
  return () => ({ protocol, bytes });
}

function withChecksum(protocol: number, at: number, message: Buffer, given?: number): Layer4 {
  return (pseudo) => {
    const bytes = Buffer.from(message);
    const inclusive = protocol === PROTO.icmp ? [] : [pseudoHeader(pseudo, protocol, bytes.length)];
    bytes.writeUInt16BE(given ?? checksum(...inclusive, bytes), at);
    return { protocol, bytes };
  };
}

export interface Ports {
  sport: number;
  dport: number;
  check?: number;
}

export function udp({ sport, dport, check }: Ports, data: Buffer = NOTHING): Layer4 {
  return withChecksum(PROTO.udp, 6, Buffer.concat([u16(sport, dport, 8 + data.length, 0), data]), check);
}

export function tcp(
  segment: Ports & { seq?: number; ack?: number; flags?: number; window?: number; options?: Buffer },
  data: Buffer = NOTHING,
): Layer4 {
  const { sport, dport, seq = 1, ack = 0, flags = 0x10, window = 0xffff, options = NOTHING, check } = segment;
  const offset = (5 + options.length / 4) << 12;
  const header = Buffer.concat([u16(sport, dport), u32(seq), u32(ack), u16(offset | flags, window, 0, 0), options]);
  return withChecksum(PROTO.tcp, 16, Buffer.concat([header, data]), check);
}

export interface Icmp {
  type: number;
  code?: number;
  /** Echo: identifier and sequence; otherwise the second word of the header. */
  id?: number;
  seq?: number;
  check?: number;
}

export function icmp({ type, code = 0, id = 0, seq = 0, check }: Icmp, data: Buffer = NOTHING): Layer4 {
  return withChecksum(PROTO.icmp, 2, Buffer.concat([Buffer.from([type, code, 0, 0]), u16(id, seq), data]), check);
}

export function icmp6({ type, code = 0, id = 0, seq = 0, check }: Icmp, data: Buffer = NOTHING): Layer4 {
  return withChecksum(PROTO.icmp6, 2, Buffer.concat([Buffer.from([type, code, 0, 0]), u16(id, seq), data]), check);
}

/** An echo request of either family. */
export function echo(family: Family, data = Buffer.from("weir"), { id = 7, seq = 1 } = {}): Layer4 {
  return family === 4 ? icmp({ type: 8, id, seq }, data) : icmp6({ type: 128, id, seq }, data);
}

export interface Arp {
  op: number;
  senderMac: string;
  sender: string;
  targetMac?: string;
  target: string;
  hardware?: number;
}

export function arp({ op, senderMac, sender, targetMac = "00:00:00:00:00:00", target, hardware = 1 }: Arp): Layer3 {
  const head = Buffer.concat([u16(hardware, ETH.ip4), Buffer.from([6, 4]), u16(op)]);
  return {
    type: ETH.arp,
    bytes: Buffer.concat([head, mac(senderMac), address(sender), mac(targetMac), address(target)]),
  };
}

/** A neighbour solicitation; to the target's solicited-node group unless `dst` is given. */
export function solicitation(from: {
  src: string;
  target: string;
  mac: string;
  dst?: string;
  hopLimit?: number;
}): Layer3 {
  const target = address(from.target);
  const group = `ff02::1:ff${target.toString("hex", 13, 14)}:${target.toString("hex", 14, 16)}`;
  const option = Buffer.concat([Buffer.from([1, 1]), mac(from.mac)]);
  const message = icmp6({ type: 135 }, Buffer.concat([target, option]));
  return ip6({ src: from.src, dst: from.dst ?? group, hopLimit: from.hopLimit ?? 255 }, message);
}

/** An IPv6 fragment header for `extensions`; offset in units of 8 bytes. */
export function fragmentHeader(offset: number, more: boolean, id = 1): { protocol: number; bytes: Buffer } {
  return {
    protocol: PROTO.fragment,
    bytes: Buffer.concat([Buffer.from([0, 0]), u16((offset << 3) | Number(more)), u32(id)]),
  };
}
