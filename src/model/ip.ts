import { isIP } from "node:net";
import { parseIp } from "ip-bigint";

/** An address as the datapath keeps it: 16 bytes in network order, IPv4 in the first four. Throws on anything else. */
export function ipBytes(address: string): Uint8Array {
  const family = isIP(address);
  if (family === 0 || address.includes("%")) throw new Error(`read address ${JSON.stringify(address)}: not an IP address`);
  const { number } = parseIp(address);
  const bytes = new Uint8Array(16);
  const size = family === 4 ? 4 : 16;
  for (let i = 0; i < size; i++) bytes[i] = Number((number >> BigInt(8 * (size - 1 - i))) & 0xffn);
  return bytes;
}
