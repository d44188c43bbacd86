import { isIP } from "node:net";
import { stringifyIp } from "ip-bigint";
import { ipBytes } from "../../model/ip.ts";
import { KernelError } from "../errors.ts";

export const AF = { unspec: 0, inet: 2, inet6: 10, bridge: 7 } as const;

/** An address in network order, with its family. */
export interface Address {
  family: number;
  bytes: Buffer;
}

function invalid(what: string, text: string): never {
  throw new KernelError(`read ${what} ${JSON.stringify(text)}`, { code: "address-invalid", hint: `no valid ${what}` });
}

/** @throws KernelError `address-invalid` */
export function parseAddress(text: string): Address {
  const version = isIP(text);
  if (version === 0 || text.includes("%")) invalid("address", text);
  const bytes = Buffer.from(ipBytes(text));
  return version === 4 ? { family: AF.inet, bytes: bytes.subarray(0, 4) } : { family: AF.inet6, bytes };
}

/** Parses `10.0.0.1/24`, or a single address without a length. @throws KernelError `address-invalid` */
export function parseCidr(text: string): Address & { prefix: number } {
  const [host = "", length, ...rest] = text.split("/");
  const address = parseAddress(host);
  const most = address.bytes.length * 8;
  const prefix = length === undefined ? most : Number(length);
  if (rest.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length)) || prefix > most) invalid("CIDR", text);
  return { ...address, prefix };
}

export function formatAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  return stringifyIp({ number: BigInt(`0x${bytes.toString("hex") || "0"}`), version: 6 });
}

/** @throws KernelError `address-invalid` */
export function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) invalid("MAC address", text);
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

export function formatMac(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Checks that a name is valid for a device and safe in paths. @throws KernelError `device-name` */
export function checkDeviceName(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: matched to be refused
  const valid = Buffer.byteLength(name) <= 15 && /^[^\s/:%\u0000-\u001f]+$/.test(name) && name !== "." && name !== "..";
  if (valid) return name;
  throw new KernelError(`name a device ${JSON.stringify(name)}`, {
    code: "device-name",
    hint: "1 to 15 bytes without space, slash, colon or percent sign",
  });
}
