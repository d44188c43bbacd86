import { isIP } from "node:net";
import { parseIp } from "ip-bigint";
import { addressAt, formatAddress } from "./addresses.ts";

export type Family = 4 | 6;

/** A CIDR with host bits cleared. */
export interface Prefix {
  family: Family;
  /** Length in bits. */
  length: number;
  /** The lowest address. */
  address: string;
}

/** Whether it is an IPv4 or IPv6 address without a zone. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes("%");
}

/** 4 or 6. @throws Error if it is no address */
export function familyOf(address: string): Family {
  if (!isAddress(address)) throw new Error(`read address ${JSON.stringify(address)}: not an IP address`);
  return isIP(address) === 4 ? 4 : 6;
}

/**
 * An address as the datapath stores it: 16 bytes in network order, IPv4 in the first four. @throws Error if it is no
 * address
 */
export function ipBytes(address: string): Uint8Array {
  const size = familyOf(address) === 4 ? 4 : 16;
  const bytes = new Uint8Array(16);
  if (size === 4) {
    bytes.set(address.split(".").map(Number));
    return bytes;
  }
  const { number } = parseIp(address);
  for (let i = 0; i < size; i++) bytes[i] = Number((number >> BigInt(8 * (size - 1 - i))) & 0xffn);
  return bytes;
}

/**
 * Parses `10.244.1.0/24` or `fd00::/64`, and clears host bits. @throws Error on anything else, including a missing
 * length
 */
export function parsePrefix(cidr: string): Prefix {
  const [, address = "", digits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(cidr) ?? [];
  const length = Number(digits);
  if (!isAddress(address) || length > (isIP(address) === 4 ? 32 : 128)) {
    throw new Error(`read CIDR ${JSON.stringify(cidr)}: not an IP prefix (like 10.244.1.0/24 or fd00::/64)`);
  }
  if (isIP(address) === 4) return { family: 4, length, address: masked(address, length) };
  const host = (1n << BigInt(128 - length)) - 1n;
  return { family: 6, length, address: formatAddress(6, parseIp(address).number & ~host) };
}

/** Clears the host bits of an IPv4 address. Fast, for tables with tens of thousands of rows. */
function masked(address: string, length: number): string {
  const octets = address.split(".").map((octet, index) => {
    const bits = Math.min(8, Math.max(0, length - 8 * index));
    return Number(octet) & (0xff << (8 - bits)) & 0xff;
  });
  return octets.join(".");
}

/** The prefix as text, host bits cleared. */
export function formatPrefix({ address, length }: Prefix): string {
  return `${address}/${length}`;
}

/** The first address after the prefix's own, by convention the gateway's: `10.244.1.1` for `10.244.1.0/24`. */
export function firstAddress(cidr: string): string {
  const { family, length, address } = parsePrefix(cidr);
  const single = length >= (family === 4 ? 31 : 127);
  return single ? address : addressAt({ family, base: parseIp(address).number, prefix: length }, 1n);
}

/** Parses `02:00:00:00:00:01` to six bytes. @throws Error on anything else */
export function macBytes(mac: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) {
    throw new Error(`read MAC address ${JSON.stringify(mac)}: not six pairs of hexadecimal digits`);
  }
  return Uint8Array.from(mac.split(":"), (pair) => Number.parseInt(pair, 16));
}
