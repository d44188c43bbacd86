import koffi from "koffi";
import { errnoName, KernelError } from "../errors.ts";
import { Fd } from "../fd.ts";
import { libc } from "../ffi.ts";
import { maybeInNamespace } from "../namespace.ts";
import { attributes, FLAG, HEADER, pack, type Reply, type Request, string, unpack } from "./message.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 0o2000003;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const OPTION = { capAck: 10, extAck: 11, strictCheck: 12 };
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const ERROR = 2;
const DONE = 3;
const ACK_CAPPED = 0x100;
const EXTENDED = 0x200;
const MESSAGE_TEXT = 1;
/** Requests per batch: their replies fit into the default receive buffer. */
const BATCH = 64;
const RETRIES = 5;
/** Port of this process's sockets, which the kernel's notifications of their changes carry. No automatic port has this bit. */
export const OWN_PORT = (0x4000_0000 | process.pid) >>> 0;
const receiveBuffer = Buffer.alloc(1 << 17);

/** Where an operation happens: the namespace at a path, an open socket's, or (undefined) this thread's. */
export type At = string | Netlink | undefined;

/** The kernel's refusal of one request. */
export interface Refusal {
  /** Index in the batch. */
  index: number;
  errno: string;
  /** The kernel's message, if it sent one. */
  text: string | undefined;
}

/** A netlink socket in one namespace. Synchronous: the kernel replies within the call. */
export class Netlink {
  readonly #fd: Fd;
  #sequence = 0;

  private constructor(fd: Fd) {
    this.#fd = fd;
  }

  /** Opens a socket in the namespace at `path`, or in this thread's. @throws KernelError `netlink-failed` */
  static open(path?: string, protocol = NETLINK_ROUTE): Netlink {
    const fd = maybeInNamespace(path, () => libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol) as number);
    if (fd < 0) throw failed(`open netlink socket${path ? ` in ${path}` : ""}`);
    for (const option of Object.values(OPTION)) setInt(fd, SOL_NETLINK, option, 1);
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(5n, 0);
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
    const address = Buffer.alloc(12);
    address.writeUInt16LE(AF_NETLINK, 0);
    address.writeUInt32LE(OWN_PORT, 4);
    libc.bind(fd, address, address.length); // of two open at once, the second gets an automatic port
    return new Netlink(new Fd("netlink socket", fd));
  }

  /** Sends requests in order, each acknowledged. A refused one does not stop the others. Returns the refusals. */
  send(requests: readonly Request[]): Refusal[] {
    const refusals: Refusal[] = [];
    for (let start = 0; start < requests.length; start += BATCH) {
      refusals.push(...this.#sendSome(requests.slice(start, start + BATCH), start));
    }
    return refusals;
  }

  #sendSome(requests: readonly Request[], start: number): Refusal[] {
    const first = this.#transmit(requests.map((request) => ({ ...request, flags: request.flags | FLAG.ack })));
    const refusals: Refusal[] = [];
    for (let pending = requests.length; pending > 0; ) {
      for (const reply of this.#receive()) {
        if (reply.type !== ERROR || reply.sequence < first) continue;
        pending -= 1;
        const refusal = readError(reply, start + reply.sequence - first);
        if (refusal) refusals.push(refusal);
      }
    }
    return refusals.sort((a, b) => a.index - b.index);
  }

  /** All replies to a dump request. Repeats the dump if the kernel reports that it was inconsistent. */
  dump(type: number, body: Buffer): Reply[] {
    return this.dumpAs(type, body, (reply) => ({ ...reply, body: Buffer.from(reply.body) }));
  }

  /** The same, read at once: `read` must not keep the body, which the next answer overwrites. */
  dumpAs<T>(type: number, body: Buffer, read: (reply: Reply) => T): T[] {
    for (let attempt = 1; ; attempt++) {
      const { replies, isInterrupted } = this.#dumpOnce(type, body, read);
      if (attempt === RETRIES || !isInterrupted) return replies;
    }
  }

  #dumpOnce<T>(type: number, body: Buffer, read: (reply: Reply) => T): { replies: T[]; isInterrupted: boolean } {
    const first = this.#transmit([{ type, flags: FLAG.request | FLAG.dump, body }]);
    const replies: T[] = [];
    let isInterrupted = false;
    for (;;) {
      for (const reply of this.#receive()) {
        if (reply.sequence !== first) continue;
        if (reply.type === ERROR || reply.type === DONE) {
          const refusal = readError(reply, 0);
          if (refusal) throw refused("list by netlink", refusal);
          return { replies, isInterrupted };
        }
        isInterrupted ||= (reply.flags & FLAG.interrupted) !== 0;
        replies.push(read(reply));
      }
    }
  }

  /** The reply to a request that is no dump, or the refusal. */
  request(type: number, body: Buffer, flags = 0): Reply | Refusal {
    const first = this.#transmit([{ type, flags: FLAG.request | FLAG.ack | flags, body }]);
    let answer: Reply | undefined;
    for (;;) {
      for (const reply of this.#receive()) {
        if (reply.sequence !== first) continue;
        if (reply.type !== ERROR) answer = { ...reply, body: Buffer.from(reply.body) };
        else return readError(reply, 0) ?? answer ?? { index: 0, errno: "ENODATA", text: undefined };
      }
    }
  }

  #transmit(requests: readonly Request[]): number {
    const first = this.#sequence + 1;
    this.#sequence += requests.length;
    const bytes = Buffer.concat(requests.map((request, i) => pack(request, first + i)));
    const sent = libc.send(this.#fd.number, bytes, bytes.length, 0) as number;
    if (sent !== bytes.length) throw failed("send to netlink");
    return first;
  }

  #receive(): Iterable<Reply> {
    const length = libc.recv(this.#fd.number, receiveBuffer, receiveBuffer.length, 0) as number;
    if (length < 0) throw failed("receive from netlink");
    return unpack(receiveBuffer.subarray(0, length));
  }

  /** Idempotent. */
  close(): void {
    this.#fd.close();
  }
}

function setInt(fd: number, level: number, option: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  libc.setsockopt(fd, level, option, bytes, 4);
}

function failed(action: string): KernelError {
  return new KernelError(action, { code: "netlink-failed", errno: errnoName(koffi.errno()) });
}

function readError(reply: Reply, index: number): Refusal | undefined {
  const code = reply.body.length >= 4 ? reply.body.readInt32LE() : 0;
  if (code === 0) return undefined;
  return { index, errno: errnoName(-code), text: explanation(reply) };
}

/**
 * The extended error message. It follows the errno and the repeated header of the request (the whole request unless
 * capped).
 */
function explanation({ type, flags, body }: Reply): string | undefined {
  if (type !== ERROR || (flags & EXTENDED) === 0) return undefined;
  const echoed = (flags & ACK_CAPPED) !== 0 ? HEADER : (body.readUInt32LE(4) + 3) & ~3;
  return string(attributes(body.subarray(4 + echoed)), MESSAGE_TEXT);
}

/** Makes an error of a refusal. */
export function refused(action: string, { errno, text }: Refusal, code = "netlink-refused"): KernelError {
  return new KernelError(action, { code, errno, hint: text });
}

/** Calls `fn` with the given socket, or with one opened for the call. */
export function withNetlink<T>(at: At, fn: (netlink: Netlink) => T): T {
  if (at instanceof Netlink) return fn(at);
  const netlink = Netlink.open(at);
  try {
    return fn(netlink);
  } finally {
    netlink.close();
  }
}

/** Sends one request. Returns false for an errno in `tolerate`. @throws KernelError `netlink-refused` */
export function perform(at: At, action: string, request: Request, tolerate: readonly string[] = []): boolean {
  return withNetlink(at, (netlink) => {
    const [refusal] = netlink.send([request]);
    if (!refusal) return true;
    if (tolerate.includes(refusal.errno)) return false;
    throw refused(action, refusal);
  });
}
