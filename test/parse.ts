/** Parses frames, and finds errors in their lengths and checksums. For tests. */
import { stringifyIp } from "ip-bigint";
import type { Family } from "../src/model/ip.ts";
import { checksum, ETH, PROTO } from "./packets.ts";

export interface ParsedIp {
  family: Family;
  src: string;
  dst: string;
  /** TTL or hop limit. */
  ttl: number;
  /** The protocol of layer 4, after extension headers. */
  protocol: number;
  /** The data after the header and its extensions, without padding of the frame. */
  payload: Buffer;
  header: Buffer;
  fragment: { offset: number; more: boolean };
  df: boolean;
}
export interface Parsed {
  dst: string;
  src: string;
  type: number;
  payload: Buffer;
  ip?: ParsedIp;
}

export const macText = (bytes: Buffer): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
export const ipText = (bytes: Buffer): string =>
  stringifyIp({ number: BigInt(`0x${bytes.toString("hex")}`), version: bytes.length === 4 ? 4 : 6 });

/** Parses a frame. Throws if its headers are inconsistent. */
export function parse(frame: Buffer): Parsed {
  const type = frame.readUInt16BE(12);
  const payload = frame.subarray(14);
  const link = { dst: macText(frame.subarray(0, 6)), src: macText(frame.subarray(6, 12)), type, payload };
  if (type === ETH.ip4) return { ...link, ip: parseIp4(payload) };
  if (type === ETH.ip6) return { ...link, ip: parseIp6(payload) };
  return link;
}

/** Parses an IPv4 packet; it may be truncated, as in an ICMP error. */
export function parseIp4(packet: Buffer): ParsedIp {
  const size = (packet.readUInt8(0) & 15) * 4;
  const flags = packet.readUInt16BE(6);
  return {
    family: 4,
    src: ipText(packet.subarray(12, 16)),
    dst: ipText(packet.subarray(16, 20)),
    ttl: packet.readUInt8(8),
    protocol: packet.readUInt8(9),
    header: packet.subarray(0, size),
    payload: packet.subarray(size, packet.readUInt16BE(2)),
    fragment: { offset: flags & 0x1fff, more: (flags & 0x2000) !== 0 },
    df: (flags & 0x4000) !== 0,
  };
}

/** Parses an IPv6 packet; it may be truncated. */
export function parseIp6(packet: Buffer): ParsedIp {
  const end = 40 + packet.readUInt16BE(4);
  let protocol = packet.readUInt8(6);
  let at = 40;
  let fragment = { offset: 0, more: false };
  while ([0, 43, 44, 60].includes(protocol) && at + 8 <= packet.length) {
    const next = packet.readUInt8(at);
    const word = packet.readUInt16BE(at + 2);
    if (protocol === PROTO.fragment) fragment = { offset: word >> 3, more: (word & 1) === 1 };
    at += protocol === PROTO.fragment ? 8 : (packet.readUInt8(at + 1) + 1) * 8;
    protocol = next;
    if (fragment.offset > 0) break;
  }
  return {
    family: 6,
    src: ipText(packet.subarray(8, 24)),
    dst: ipText(packet.subarray(24, 40)),
    ttl: packet.readUInt8(7),
    protocol,
    header: packet.subarray(0, at),
    payload: packet.subarray(at, end),
    fragment,
    df: true,
  };
}

/** Errors in a frame's lengths and checksums; empty if there are none. Layer 4 of fragments is not checked. */
export function faults(frame: Buffer): string[] {
  const { ip, payload } = parse(frame);
  if (!ip) return [];
  const found: string[] = [];
  if (ip.family === 4 && checksum(ip.header) !== 0) found.push("IPv4 header checksum");
  const length = ip.family === 4 ? payload.readUInt16BE(2) : 40 + payload.readUInt16BE(4);
  if (length > payload.length) found.push(`length ${length} of ${payload.length} bytes`);
  else if (ip.fragment.offset === 0 && !ip.fragment.more) found.push(...layer4Faults(ip, payload));
  return found;
}

function layer4Faults({ family, protocol, payload }: ParsedIp, packet: Buffer): string[] {
  const pseudo = Buffer.concat([
    family === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40),
    Buffer.from([0, protocol, payload.length >> 8, payload.length & 0xff]),
  ]);
  const ok = () => checksum(pseudo, payload) === 0;
  if (protocol === PROTO.icmp) return checksum(payload) === 0 ? [] : ["ICMP checksum"];
  if (protocol === PROTO.icmp6) return ok() ? [] : ["ICMPv6 checksum"];
  if (protocol === PROTO.tcp) return ok() ? [] : ["TCP checksum"];
  return protocol === PROTO.udp ? udpFaults(family, payload, ok) : [];
}

function udpFaults(family: Family, payload: Buffer, ok: () => boolean): string[] {
  if (payload.length < 8) return [`UDP header of ${payload.length} bytes`];
  if (payload.readUInt16BE(6) === 0) return family === 4 ? [] : ["UDP checksum missing"];
  return ok() ? [] : ["UDP checksum"];
}
