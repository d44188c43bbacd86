import koffi from "koffi";
import { errnoName, KernelError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { lazy, libc } from "./ffi.ts";

/** UDP over IPv4 in batches, with kernel timestamps. Node.js's own sockets are too slow for this. */

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
const MSG_DONTWAIT = 0x40;
/** Returns the real length of a truncated datagram. */
const MSG_TRUNC = 0x20;
const CLOCK_REALTIME = 0;
/** `struct mmsghdr`, `struct iovec`, and a control message with a `struct timespec`, of 64-bit machines. */
const MMSGHDR = 64;
const IOVEC = 16;
const CONTROL = 64;
const CMSG_DATA = 16;
const AT = { iov: 16, iovlen: 24, control: 32, controllen: 40, length: 56 } as const;

const timespec = lazy(() => Buffer.alloc(16));

/** CLOCK_REALTIME in µs, the clock of arrival timestamps. */
export function wallClock(): number {
  const time = timespec();
  libc.clock_gettime(CLOCK_REALTIME, time);
  return micros(time, 0);
}

const micros = (buffer: Buffer, at: number): number =>
  Number(buffer.readBigInt64LE(at)) * 1e6 + Number(buffer.readBigInt64LE(at + 8)) / 1000;

function headers(
  slots: number,
  size: number,
  control: Buffer | undefined,
): { all: Buffer; vectors: Buffer; data: Buffer } {
  const all = Buffer.alloc(slots * MMSGHDR);
  const vectors = Buffer.alloc(slots * IOVEC);
  const data = Buffer.alloc(slots * size);
  for (let i = 0; i < slots; i++) {
    vectors.writeBigUInt64LE(koffi.address(data) + BigInt(i * size), i * IOVEC);
    vectors.writeBigUInt64LE(BigInt(size), i * IOVEC + 8);
    all.writeBigUInt64LE(koffi.address(vectors) + BigInt(i * IOVEC), i * MMSGHDR + AT.iov);
    all.writeBigUInt64LE(1n, i * MMSGHDR + AT.iovlen);
    if (control) all.writeBigUInt64LE(koffi.address(control) + BigInt(i * CONTROL), i * MMSGHDR + AT.control);
  }
  return { all, vectors, data };
}

/** Datagrams to send: `slots` datagrams of up to `size` bytes. */
export class Batch {
  readonly slots: number;
  readonly size: number;
  /** Slot i begins at byte `i * size`. */
  readonly data: Buffer;
  readonly headers: Buffer;
  readonly #vectors: Buffer;

  constructor(slots: number, size: number) {
    const { all, vectors, data } = headers(slots, size, undefined);
    this.slots = slots;
    this.size = size;
    this.data = data;
    this.headers = all;
    this.#vectors = vectors;
  }

  /** Sets the length of a slot's datagram, bytes. */
  setLength(slot: number, bytes: number): void {
    this.#vectors.writeUInt32LE(bytes, slot * IOVEC + 8);
  }
}

/** Buffers for received datagrams: `slots` datagrams, of which `size` bytes are kept. */
export class Arrivals {
  readonly slots: number;
  readonly size: number;
  readonly data: Buffer;
  readonly headers: Buffer;
  readonly #control: Buffer;
  /** Kept here because `headers` points to it. */
  readonly vectors: Buffer;

  constructor(slots: number, size: number) {
    this.#control = Buffer.alloc(slots * CONTROL);
    const { all, vectors, data } = headers(slots, size, this.#control);
    this.vectors = vectors;
    this.slots = slots;
    this.size = size;
    this.data = data;
    this.headers = all;
  }

  /** Must be called before each receive: the kernel overwrites the size of the control buffer. */
  reset(): void {
    for (let i = 0; i < this.slots; i++) this.headers.writeUInt32LE(CONTROL, i * MMSGHDR + AT.controllen);
  }

  /** Length of a slot's datagram, including bytes that were not kept. */
  length(slot: number): number {
    return this.headers.readUInt32LE(slot * MMSGHDR + AT.length);
  }

  /** Arrival time at the kernel, µs of `wallClock`. */
  time(slot: number): number {
    return micros(this.#control, slot * CONTROL + CMSG_DATA);
  }
}

export interface DatagramOptions {
  /** Receives on this port. */
  port?: number | undefined;
  /** Whether arrivals on the port are timestamped; true by default. */
  stamps?: boolean | undefined;
  /** Sizes of the kernel's buffers, bytes; may exceed the system's limits, which needs CAP_NET_ADMIN. */
  sendBuffer?: number | undefined;
  receiveBuffer?: number | undefined;
}

/** A non-blocking UDP socket in the calling thread's namespace. */
export class DatagramSocket {
  readonly #fd: Fd;

  constructor({ port, stamps = true, sendBuffer, receiveBuffer }: DatagramOptions = {}) {
    this.#fd = new Fd("a UDP socket", answer("open a UDP socket", libc.socket(AF_INET, SOCK_DGRAM, 0)));
    try {
      if (port !== undefined) {
        answer(`bind UDP port ${port}`, libc.bind(this.#fd.number, socketAddress("0.0.0.0", port), 16));
        if (stamps) this.#set(SO_TIMESTAMPNS, 1);
      }
      if (sendBuffer !== undefined) this.#set(SO_SNDBUFFORCE, sendBuffer);
      if (receiveBuffer !== undefined) this.#set(SO_RCVBUFFORCE, receiveBuffer);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  connect(address: string, port: number): void {
    const to = socketAddress(address, port);
    answer(`connect to UDP ${address}:${port}`, libc.connect(this.#fd.number, to, to.length));
  }

  /**
   * Sends the first `count` datagrams of a batch. Returns how many the socket accepted. Errors of earlier datagrams are
   * ignored.
   */
  send(batch: Batch, count: number): number {
    const sent = libc.sendmmsg(this.#fd.number, batch.headers, count, MSG_DONTWAIT) as number;
    if (sent >= 0) return sent;
    const name = errnoName(koffi.errno());
    if (["EAGAIN", "ENOBUFS", "ECONNREFUSED", "EHOSTUNREACH"].includes(name)) return 0;
    throw new KernelError("send datagrams", { code: "send-failed", errno: name });
  }

  /** Receives what is queued. Returns the number of datagrams. */
  receive(into: Arrivals): number {
    into.reset();
    const taken = libc.recvmmsg(this.#fd.number, into.headers, into.slots, MSG_DONTWAIT | MSG_TRUNC, null) as number;
    if (taken >= 0) return taken;
    const name = errnoName(koffi.errno());
    if (name === "EAGAIN") return 0;
    throw new KernelError("receive datagrams", { code: "receive-failed", errno: name });
  }

  close(): void {
    this.#fd.close();
  }

  #set(option: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    answer(`set socket option ${option}`, libc.setsockopt(this.#fd.number, SOL_SOCKET, option, bytes, 4));
  }
}

function answer(action: string, result: unknown): number {
  if ((result as number) >= 0) return result as number;
  throw new KernelError(action, { code: "socket-failed", errno: errnoName(koffi.errno()) });
}

function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  for (const [i, part] of address.split(".").entries()) bytes.writeUInt8(Number(part), 4 + i);
  return bytes;
}
