import { read } from "node:fs";
import koffi from "koffi";
import { errnoName, KernelError } from "../errors.ts";
import { Fd } from "../fd.ts";
import { libc } from "../ffi.ts";
import { maybeInNamespace } from "../namespace.ts";
import { filterNews } from "./filter.ts";
import { type DeviceInfo, readLink } from "./link.ts";
import { FLAG, pack, type Reply, unpack } from "./message.ts";
import { isMainUnicast, type RouteInfo, readRoute } from "./route.ts";
import { OWN_PORT } from "./socket.ts";
import { TC_ROOT } from "./tc.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 0o2000003;
const NETLINK_ROUTE = 0;
const NOOP = 1;
/** RTM_NEW* and RTM_DEL* of links. */
const LINK = [16, 17];
const ADDRESS = [20, 21];
const ROUTE = [24, 25];
const QDISC_GONE = 37;
const CLASS_GONE = 41;
/** `RTNLGRP_LINK`, `_TC`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`. */
const MASK = [1, 4, 5, 7, 9, 11].reduce((mask, group) => mask | (1 << (group - 1)), 0);
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** Bytes that wait while this thread is busy: some thousand messages. The usual size overruns at a hundred. */
const WAITING = 4 << 20;
/** Larger than any message of these groups. */
const LARGEST = 1 << 16;

/**
 * A change in the network namespace. `qdisc`: a device's root qdisc was removed or replaced. `class`: a class, or its
 * qdisc, was. `lost`: the socket overran, so anything may have changed.
 */
export type NetworkNews =
  | { kind: "link"; device: DeviceInfo; gone: boolean }
  | { kind: "address"; ifindex: number }
  | { kind: "route"; route: RouteInfo; gone: boolean }
  | { kind: "qdisc"; ifindex: number }
  | { kind: "class"; ifindex: number; handle: number }
  | { kind: "lost" };

/** Delay before a socket that could not be opened is tried again, ms. */
const PAUSE = 1000;

/**
 * Reports every change of devices, addresses, routes of the main table, and removed qdiscs and classes in a network
 * namespace, until the signal. Occupies one thread of Node.js's pool, which waits for the kernel.
 * @param netns path of the namespace; default: this thread's
 * @throws KernelError `netlink-failed`, `namespace-missing`
 */
export function watchNetwork(onNews: (news: NetworkNews) => void, signal: AbortSignal, netns?: string): void {
  if (signal.aborted) return;
  let fd = subscribe(netns);
  const buffer = Buffer.alloc(LARGEST);
  const next = (): void => read(fd.number, buffer, 0, LARGEST, null, taken);
  const taken = (error: Error | null, length: number): void => {
    if (error || signal.aborted) {
      anew();
      return;
    }
    for (const message of unpack(Buffer.from(buffer.subarray(0, length)))) {
      const news = newsOf(message);
      if (news) onNews(news);
    }
    next();
  };
  /** Opens another socket: one that overran drops further notifications until it is empty, without saying how many. */
  const anew = (): void => {
    fd.close();
    if (signal.aborted) return;
    try {
      fd = subscribe(netns);
    } catch {
      setTimeout(anew, PAUSE).unref();
      return;
    }
    next();
    onNews({ kind: "lost" });
  };
  // ends a pending read: the kernel acknowledges this message
  signal.addEventListener("abort", () => nudge(fd), { once: true });
  next();
}

function subscribe(netns: string | undefined): Fd {
  const number = maybeInNamespace(netns, () => libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE) as number);
  if (number < 0) throw failed("open netlink socket");
  const fd = new Fd("netlink socket", number);
  const size = Buffer.alloc(4);
  size.writeInt32LE(WAITING);
  libc.setsockopt(number, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
  filterNews(number);
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(MASK, 8);
  if ((libc.bind(number, address, address.length) as number) === 0) return fd;
  const error = failed("subscribe to network news");
  fd.close();
  throw error;
}

function nudge(fd: Fd): void {
  if (fd.isClosed) return; // not open at the moment
  const bytes = pack({ type: NOOP, flags: FLAG.request | FLAG.ack, body: Buffer.alloc(0) }, 1);
  libc.send(fd.number, bytes, bytes.length, 0);
}

function newsOf(message: Reply): NetworkNews | undefined {
  const { type, body } = message;
  if (LINK.includes(type)) return { kind: "link", device: readLink(message), gone: type === LINK[1] };
  if (ADDRESS.includes(type)) return { kind: "address", ifindex: body.readUInt32LE(4) };
  if (ROUTE.includes(type) && isMainUnicast(message)) {
    return { kind: "route", route: readRoute(message), gone: type === ROUTE[1] };
  }
  if (message.port === OWN_PORT) return undefined; // qdiscs and classes that this process has removed or replaced
  if (type === CLASS_GONE) return { kind: "class", ifindex: body.readInt32LE(4), handle: body.readUInt32LE(8) };
  if (type !== QDISC_GONE) return undefined;
  const [ifindex, parent] = [body.readInt32LE(4), body.readUInt32LE(12)];
  return parent === TC_ROOT ? { kind: "qdisc", ifindex } : { kind: "class", ifindex, handle: parent };
}

function failed(action: string): KernelError {
  return new KernelError(action, { code: "netlink-failed", errno: errnoName(koffi.errno()) });
}
