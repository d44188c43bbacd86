import { FLAG, nest, type Request, text } from "./message.ts";
import { Netlink, type Refusal } from "./socket.ts";

const RTM = { newLink: 16, newQdisc: 36 };
const NEW = FLAG.request | FLAG.create | FLAG.exclusive;
const TC_ROOT = 0xffffffff;
const TC_INGRESS = 0xfffffff1;
const IFLA_LINK_INFO = 18;
const INFO_KIND = 1;
const TCA_KIND = 1;
const LOOPBACK = 1;
const NETLINK_NETFILTER = 12;
/** nftables subsystem, message GETGEN. */
const NFT_GET_GENERATION = (10 << 8) | 16;

interface Seen {
  available: boolean;
  detail: string;
}

function createDevice(kind: string): Request {
  return {
    type: RTM.newLink,
    flags: NEW,
    body: Buffer.concat([Buffer.alloc(16), nest(IFLA_LINK_INFO, text(INFO_KIND, kind))]),
  };
}

function createQdisc(kind: string): Request {
  const header = Buffer.alloc(20);
  header.writeInt32LE(LOOPBACK, 4);
  header.writeUInt32LE(kind === "clsact" ? 0xffff0000 : 0x10000, 8);
  header.writeUInt32LE(kind === "clsact" ? TC_INGRESS : TC_ROOT, 12);
  return {
    type: RTM.newQdisc,
    flags: FLAG.request | FLAG.create | FLAG.replace,
    body: Buffer.concat([header, text(TCA_KIND, kind)]),
  };
}

/** Errors for an unknown kind. Success or any other error, such as missing options, means that the kind exists. */
const UNKNOWN: Readonly<Record<"device" | "qdisc", readonly string[]>> = {
  device: ["EOPNOTSUPP"],
  qdisc: ["ENOENT"],
};

/** Tries to create a device or qdisc of a kind in the socket's namespace, which should not be used by anyone else. */
export function has(netlink: Netlink, what: "device" | "qdisc", kind: string): Seen {
  const [refusal] = netlink.send([what === "device" ? createDevice(kind) : createQdisc(kind)]);
  if (!refusal) return { available: true, detail: `one was created` };
  const said = `${refusal.errno}${refusal.text ? ` (${refusal.text})` : ""}`;
  if (refusal.errno === "EPERM") return { available: false, detail: "could not be probed: EPERM" };
  const available = !UNKNOWN[what].includes(refusal.errno);
  return { available, detail: available ? `known; it asks for options: ${said}` : said };
}

/** Reads nftables' generation, which changes nothing. */
export function netfilterAnswers(): Seen {
  const netlink = Netlink.open(undefined, NETLINK_NETFILTER);
  try {
    const reply = netlink.request(NFT_GET_GENERATION, Buffer.alloc(4));
    if ("body" in reply) return { available: true, detail: "nf_tables answers" };
    const absent: Refusal = reply;
    return { available: false, detail: `nf_tables does not answer: ${absent.errno}` };
  } finally {
    netlink.close();
  }
}
