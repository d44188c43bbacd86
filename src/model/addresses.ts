import { isIP } from "node:net";
import { parseIp, stringifyIp } from "ip-bigint";
import { bad, good, quote, type Result } from "./text.ts";

/** A network: `base` is its first address. `family` is 4 or 6. */
export interface Cidr {
  family: 4 | 6;
  base: bigint;
  prefix: number;
}

/** Parses an address and returns its canonical text (`FD00::0001` → `fd00::1`). Zone ids are refused. */
export function parseAddress(text: string): Result<{ family: 4 | 6; text: string; number: bigint }> {
  const family = text.includes("%") ? 0 : isIP(text);
  if (family !== 4 && family !== 6) return bad(`${quote(text)} is not an IP address`);
  const { number } = parseIp(text);
  return good({ family, text: stringifyIp({ version: family, number }), number });
}

/** Parses `10.244.1.0/24`. Host bits must be zero. */
export function parseCidr(text: string): Result<Cidr> {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = parseAddress(match?.[1] ?? "");
  const alone = parseAddress(text);
  if (alone.ok) {
    return bad(
      `${quote(text)} has no prefix length; one address is ${quote(`${text}/${alone.value.family === 4 ? 32 : 128}`)}`,
    );
  }
  if (!match || !address.ok) return bad(`${quote(text)} is not a network such as 10.244.1.0/24 or fd00:10:244:1::/64`);
  const { family, number } = address.value;
  const width = family === 4 ? 32 : 128;
  const prefix = Number(match[2]);
  if (prefix > width) return bad(`${quote(text)} has a prefix longer than ${width}`);
  const host = (1n << BigInt(width - prefix)) - 1n;
  if ((number & host) !== 0n)
    return bad(
      `${quote(text)} has bits set beyond its prefix; ${formatAddress(family, number & ~host)}/${prefix} is the network`,
    );
  return good({ family, base: number, prefix });
}

/** The number of addresses in a network. */
export function sizeOf({ family, prefix }: Cidr): bigint {
  return 1n << BigInt((family === 4 ? 32 : 128) - prefix);
}

/** The network's address with this index, as text. */
export function addressAt(cidr: Cidr, index: bigint): string {
  return formatAddress(cidr.family, cidr.base + index);
}

/** Index of an address in a network; undefined if it is outside. */
export function indexIn(cidr: Cidr, address: string): bigint | undefined {
  const parsed = parseAddress(address);
  if (!parsed.ok || parsed.value.family !== cidr.family) return undefined;
  const index = parsed.value.number - cidr.base;
  return index >= 0n && index < sizeOf(cidr) ? index : undefined;
}

/** Whether two networks share an address. */
export function overlap(a: Cidr, b: Cidr): boolean {
  return a.family === b.family && a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

/** The text of an address. */
export function formatAddress(family: 4 | 6, number: bigint): string {
  return stringifyIp({ version: family, number });
}
