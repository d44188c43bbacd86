/** Payload of a measurement's datagram: its flow, its number in the flow, and its time of sending. The rest is padding. */
export interface Message {
  flow: number;
  number: number;
  /** µs of CLOCK_REALTIME. */
  sent: number;
}

/** Bytes of a message, and shortest payload of a datagram. */
export const MESSAGE_BYTES = 16;

export function writeMessage(data: Buffer, at: number, { flow, number, sent }: Message): void {
  data.writeUInt32LE(flow, at);
  data.writeUInt32LE(number, at + 4);
  data.writeDoubleLE(sent, at + 8);
}

export function readMessage(data: Buffer, at: number): Message {
  return { flow: data.readUInt32LE(at), number: data.readUInt32LE(at + 4), sent: data.readDoubleLE(at + 8) };
}

const IP = 20;
const UDP = 8;

/** Bytes at layer 3 of an IPv4 datagram with that payload, in fragments if it is longer than the MTU. */
export function wireBytes(payload: number, mtu: number): number {
  const data = payload + UDP;
  const each = Math.floor((mtu - IP) / 8) * 8;
  return data + IP * (data + IP <= mtu ? 1 : Math.ceil(data / each));
}
