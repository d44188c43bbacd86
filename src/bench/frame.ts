/**
 * An Ethernet frame of 60 bytes, 64 with its checksum: an IPv4 datagram with a valid header and a TTL for 254 hops.
 *
 * @param from, to dotted IPv4 addresses
 */
export function frame64(from: string, to: string): Buffer {
  const frame = Buffer.alloc(60);
  frame.write("0800", 12, "hex");
  frame.write("4500002e00004000ff110000", 14, "hex");
  for (const [i, address] of [from, to].entries()) frame.set(address.split(".").map(Number), 26 + 4 * i);
  frame.writeUInt16BE(checksum(frame.subarray(14, 34)), 24);
  frame.writeUInt16BE(40_000, 34);
  frame.writeUInt16BE(9, 36);
  frame.writeUInt16BE(26, 38);
  return frame;
}

/** Internet checksum (RFC 1071) of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
