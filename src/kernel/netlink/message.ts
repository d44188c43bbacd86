/** Netlink's wire format (include/uapi/linux/netlink.h): messages of a header, a family header and attributes. */

export const HEADER = 16;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const align = (length: number) => (length + 3) & ~3;

/** Flags of a request. */
export const FLAG = {
  request: 1,
  multi: 2,
  ack: 4,
  interrupted: 0x10,
  echo: 0x8,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
};

export interface Request {
  type: number;
  flags: number;
  /** The family header and the attributes. */
  body: Buffer;
}

/** One attribute: bytes, an integer's encoding, text, or nested attributes. */
export function attr(type: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(align(4 + payload.length));
  out.writeUInt16LE(4 + payload.length, 0);
  out.writeUInt16LE(type, 2);
  out.set(payload, 4);
  return out;
}
export const nest = (type: number, ...attributes: readonly Buffer[]): Buffer =>
  attr(type | NESTED, Buffer.concat(attributes));
export const text = (type: number, value: string): Buffer => attr(type, Buffer.from(`${value}\0`, "utf8"));

export function u8(type: number, value: number): Buffer {
  return attr(type, Uint8Array.of(value));
}
export function u16be(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return attr(type, bytes);
}
export function u32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return attr(type, bytes);
}
export function u64(type: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return attr(type, bytes);
}

/** Encodes a request with its sequence number. */
export function pack({ type, flags, body }: Request, sequence: number): Buffer {
  const out = Buffer.alloc(align(HEADER + body.length));
  out.writeUInt32LE(HEADER + body.length, 0);
  out.writeUInt16LE(type, 4);
  out.writeUInt16LE(flags, 6);
  out.writeUInt32LE(sequence, 8);
  body.copy(out, HEADER);
  return out;
}

export interface Reply {
  type: number;
  flags: number;
  sequence: number;
  /** Netlink port of the socket whose request this answers or, in a notification, that made the change; 0: the kernel's. */
  port: number;
  body: Buffer;
}

/** Splits a datagram into messages. Stops at the first that is truncated. */
export function* unpack(datagram: Buffer): Generator<Reply> {
  for (let at = 0; at + HEADER <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER || at + length > datagram.length) return;
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      port: datagram.readUInt32LE(at + 12),
      body: datagram.subarray(at + HEADER, at + length),
    };
    at += align(length);
  }
}

/** Attributes by type; the last one of a repeated type. */
export type Attributes = ReadonlyMap<number, Buffer>;

export function attributes(bytes: Buffer): Attributes {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
}

/**
 * Offset of an attribute's value among the attributes between two offsets; -1 if it is absent. For large dumps: it makes no
 * object.
 */
export function findAttribute(bytes: Buffer, type: number, from: number, end: number): number {
  for (let at = from; at + 4 <= end; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > end) return -1;
    if ((bytes.readUInt16LE(at + 2) & TYPE_MASK) === type) return at + 4;
    at += align(length);
  }
  return -1;
}

/** Length of the attribute whose value begins here, bytes. */
export const attributeLength = (bytes: Buffer, at: number): number => bytes.readUInt16LE(at - 4) - 4;

/** The integer in an attribute, or `undefined` if it is absent. */
export function uint(from: Attributes, type: number): number | undefined {
  const bytes = from.get(type);
  return bytes && bytes.length >= 4 ? bytes.readUInt32LE() : undefined;
}

export function string(from: Attributes, type: number): string | undefined {
  const bytes = from.get(type);
  if (!bytes) return undefined;
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}
