import koffi from "koffi";
import { libc } from "../ffi.ts";
import { WEIR_ROUTE_PROTOCOL } from "./route.ts";

/**
 * A filter for the socket of notifications, in classic BPF. Without it every message is read by JavaScript: a routing
 * daemon's, of which there may be a million, and those of the HTB classes that Weir adds. Of others' routes, only those that have
 * replaced another or are gone can matter.
 */

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_SET = 0x45;
const RETURN = 0x06;
const ALL = 0xffffffff;

/** Offsets of fields: nlmsghdr's type and flags, ifinfomsg's family, rtmsg's table, protocol and type. */
const AT = { type: 4, flags: 6, family: 16, table: 20, protocol: 21, kind: 23 };
const LINKS = [16, 17];
const NEW_ROUTE = 24;
const OLD_ROUTE = 25;
/** `NLM_F_REPLACE`: the new route has taken the place of another. */
const REPLACE = 0x100;
/** Qdiscs and classes that were added, filters. */
const TRAFFIC_CONTROL = [36, 40, 44, 45];
const AF_BRIDGE = 7;
const TABLE_MAIN = 254;
const UNICAST = 1;

type Label = "drop" | "link" | "route" | "own";
/** An instruction; `to` is where a jump goes if its condition holds, `otherwise` if it does not (default: on). */
type Instruction = { code: number; k: number; to?: Label; otherwise?: Label } | { label: Label };

const jump = (values: readonly number[], to: Label): Instruction[] =>
  values.map((k) => ({ code: JUMP_IF_EQUAL, k, to }));
/** The kernel loads halves in network order; netlink's are in the host's, little-endian. */
const swap = (half: number): number => ((half & 0xff) << 8) | (half >> 8);

const PROGRAM: readonly Instruction[] = [
  { code: LOAD_HALF, k: AT.type },
  ...jump([NEW_ROUTE, OLD_ROUTE].map(swap), "route"),
  ...jump(LINKS.map(swap), "link"),
  ...jump(TRAFFIC_CONTROL.map(swap), "drop"),
  { code: RETURN, k: ALL },
  { label: "route" },
  { code: LOAD_BYTE, k: AT.table },
  { code: JUMP_IF_EQUAL, k: TABLE_MAIN, otherwise: "drop" },
  { code: LOAD_BYTE, k: AT.kind },
  { code: JUMP_IF_EQUAL, k: UNICAST, otherwise: "drop" },
  { code: LOAD_BYTE, k: AT.protocol },
  { code: JUMP_IF_EQUAL, k: WEIR_ROUTE_PROTOCOL, to: "own" },
  { code: LOAD_HALF, k: AT.type },
  { code: JUMP_IF_EQUAL, k: swap(OLD_ROUTE), to: "own" },
  { code: LOAD_HALF, k: AT.flags },
  { code: JUMP_IF_SET, k: swap(REPLACE), otherwise: "drop" },
  { label: "own" },
  { code: RETURN, k: ALL },
  { label: "link" }, // a bridge's news of its ports are no news of the devices
  { code: LOAD_BYTE, k: AT.family },
  { code: JUMP_IF_EQUAL, k: AF_BRIDGE, to: "drop" },
  { code: RETURN, k: ALL },
  { label: "drop" },
  { code: RETURN, k: 0 },
];

/** Encodes the instructions as `struct sock_filter[]`. */
function assemble(program: readonly Instruction[]): Buffer {
  const places = new Map<Label, number>();
  const code = program.flatMap((one) => {
    if (!("label" in one)) return [one];
    places.set(one.label, program.slice(0, program.indexOf(one)).filter((before) => !("label" in before)).length);
    return [];
  });
  const bytes = Buffer.alloc(code.length * 8);
  for (const [index, one] of code.entries()) {
    const skip = (label: Label | undefined) => (label === undefined ? 0 : (places.get(label) ?? 0) - index - 1);
    bytes.writeUInt16LE(one.code, index * 8);
    bytes.writeUInt8(skip(one.to), index * 8 + 2);
    bytes.writeUInt8(skip(one.otherwise), index * 8 + 3);
    bytes.writeUInt32LE(one.k, index * 8 + 4);
  }
  return bytes;
}

const CODE = assemble(PROGRAM);

/** Has a socket only receive messages that Weir acts on. Returns false if the kernel refuses the filter. */
export function filterNews(fd: number): boolean {
  const program = Buffer.alloc(16); // struct sock_fprog
  program.writeUInt16LE(CODE.length / 8, 0);
  program.writeBigUInt64LE(koffi.address(CODE), 8);
  return (libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, program.length) as number) === 0;
}
