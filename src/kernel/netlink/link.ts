import { closeSync, openSync } from "node:fs";
import { KernelError } from "../errors.ts";
import { checkDeviceName, formatMac, parseMac } from "./address.ts";
import {
  type Attributes,
  attr,
  attributes,
  FLAG,
  nest,
  type Reply,
  string,
  text,
  u8,
  u16be,
  u32,
  uint,
} from "./message.ts";
import { type At, perform, refused, withNetlink } from "./socket.ts";

const RTM = { newLink: 16, deleteLink: 17, getLink: 18, getNamespace: 90 };
const NETNSA = { id: 1, fd: 3 };
const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  txQueueLength: 13,
  operState: 16,
  linkInfo: 18,
  stats64: 23,
  netnsFd: 28,
  peerNetns: 37,
  gsoMaxSegs: 40,
  gsoMaxSize: 41,
  groMaxSize: 58,
  gsoIpv4MaxSize: 63,
  groIpv4MaxSize: 64,
  extMask: 29,
  carrierChanges: 35,
  maxMtu: 51,
} as const;
/** `RTEXT_FILTER_SKIP_STATS`. */
const SKIP_STATS = 8;
const INFO = { kind: 1, data: 2 };
const VETH_PEER = 1;
const VXLAN = { vni: 1, learning: 7, port: 15, zeroChecksum6Receive: 20, collectMetadata: 25, vniFilter: 30 };
const IFF = { up: 1, running: 0x40 };
const HEADER = 16;

/** A network device. Sizes in bytes. */
export interface DeviceInfo {
  ifindex: number;
  name: string;
  /** `veth`, `vxlan`, …; empty for loopback and physical devices. */
  kind: string;
  mac: string | undefined;
  mtu: number;
  /** Maximum MTU. Differs from the usual one if the peer of a veth has a native XDP program. */
  maxMtu: number;
  up: boolean;
  running: boolean;
  /** Number of carrier changes: a veth loses its carrier when its peer is set down. */
  carrierChanges: number;
  /** For a veth: its peer's ifindex, in the peer's namespace. */
  peerIfindex: number | undefined;
  /** The kernel's id for the peer's namespace, if it is another one. */
  peerNetnsId: number | undefined;
  master: number | undefined;
  /** For a VXLAN device: its UDP port. */
  udpPort: number | undefined;
  /** For a VXLAN device that only accepts one VNI: the VNI. */
  vni: number | undefined;
  gsoMaxSegs: number;
  gsoMaxSize: number;
  rx: { packets: bigint; bytes: bigint; drops: bigint };
  tx: { packets: bigint; bytes: bigint; drops: bigint };
}

/** Settings of a device. */
export interface DeviceSettings {
  up?: boolean;
  name?: string;
  mac?: string;
  mtu?: number;
  gsoMaxSegs?: number;
  gsoMaxSize?: number;
  groMaxSize?: number;
  /** For IPv4 only, which has limits of its own since Linux 6.3. */
  gsoIpv4MaxSize?: number;
  groIpv4MaxSize?: number;
  txQueueLength?: number;
  /** Moves the device to the namespace at this path. */
  netns?: string;
}

function linkHeader(ifindex = 0, flags = 0, change = 0): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeInt32LE(ifindex, 4);
  header.writeUInt32LE(flags, 8);
  header.writeUInt32LE(change, 12);
  return header;
}

function settings(wanted: Omit<DeviceSettings, "up" | "netns">): Buffer[] {
  const out: Buffer[] = [];
  if (wanted.name !== undefined) out.push(text(IFLA.name, checkDeviceName(wanted.name)));
  if (wanted.mac !== undefined) out.push(attr(IFLA.address, parseMac(wanted.mac)));
  if (wanted.mtu !== undefined) out.push(u32(IFLA.mtu, wanted.mtu));
  if (wanted.gsoMaxSegs !== undefined) out.push(u32(IFLA.gsoMaxSegs, wanted.gsoMaxSegs));
  if (wanted.gsoMaxSize !== undefined) out.push(u32(IFLA.gsoMaxSize, wanted.gsoMaxSize));
  for (const name of ["groMaxSize", "gsoIpv4MaxSize", "groIpv4MaxSize"] as const) {
    if (wanted[name] !== undefined) out.push(u32(IFLA[name], wanted[name]));
  }
  if (wanted.txQueueLength !== undefined) out.push(u32(IFLA.txQueueLength, wanted.txQueueLength));
  return out;
}

const statsOf = (bytes: Buffer | undefined, index: number): bigint =>
  bytes && bytes.length >= 8 * (index + 1) ? bytes.readBigUInt64LE(8 * index) : 0n;

export function readLink({ body }: Reply): DeviceInfo {
  const flags = body.readUInt32LE(8);
  const found = attributes(body.subarray(HEADER));
  const info: Attributes = attributes(found.get(IFLA.linkInfo) ?? Buffer.alloc(0));
  const mac = found.get(IFLA.address);
  const stats = found.get(IFLA.stats64);
  const kind = string(info, INFO.kind) ?? "";
  return {
    ifindex: body.readInt32LE(4),
    name: string(found, IFLA.name) ?? "",
    kind,
    mac: mac && mac.length === 6 ? formatMac(mac) : undefined,
    mtu: uint(found, IFLA.mtu) ?? 0,
    maxMtu: uint(found, IFLA.maxMtu) ?? 0,
    up: (flags & IFF.up) !== 0,
    running: (flags & IFF.running) !== 0,
    carrierChanges: uint(found, IFLA.carrierChanges) ?? 0,
    peerIfindex: kind === "veth" ? uint(found, IFLA.link) : undefined,
    peerNetnsId: kind === "veth" ? uint(found, IFLA.peerNetns) : undefined,
    master: uint(found, IFLA.master),
    ...vxlanOf(kind, attributes(info.get(INFO.data) ?? Buffer.alloc(0))),
    gsoMaxSegs: uint(found, IFLA.gsoMaxSegs) ?? 0,
    gsoMaxSize: uint(found, IFLA.gsoMaxSize) ?? 0,
    rx: { packets: statsOf(stats, 0), bytes: statsOf(stats, 2), drops: statsOf(stats, 6) },
    tx: { packets: statsOf(stats, 1), bytes: statsOf(stats, 3), drops: statsOf(stats, 7) },
  };
}

function vxlanOf(kind: string, data: Attributes): Pick<DeviceInfo, "udpPort" | "vni"> {
  if (kind !== "vxlan") return { udpPort: undefined, vni: undefined };
  const isFiltered = data.get(VXLAN.vniFilter)?.readUInt8() === 1;
  return { udpPort: data.get(VXLAN.port)?.readUInt16BE(), vni: isFiltered ? uint(data, VXLAN.vni) : undefined };
}

/** All devices of a namespace. Without counters, which are zero then, the dump is faster. */
export function links(at?: At, { counters = true } = {}): DeviceInfo[] {
  const body = counters ? linkHeader() : Buffer.concat([linkHeader(), u32(IFLA.extMask, SKIP_STATS)]);
  return withNetlink(at, (netlink) => netlink.dump(RTM.getLink, body).map(readLink));
}

/** A device by its name or ifindex, or `undefined`. */
export function findLink(device: string | number, at?: At): DeviceInfo | undefined {
  const isIndex = typeof device === "number";
  const body = isIndex ? linkHeader(device) : Buffer.concat([linkHeader(), text(IFLA.name, checkDeviceName(device))]);
  return withNetlink(at, (netlink) => {
    const reply = netlink.request(RTM.getLink, body);
    if ("body" in reply) return readLink(reply);
    if (reply.errno === "ENODEV") return undefined;
    throw refused(`find device ${device}`, reply);
  });
}

/** The kernel's id for another namespace, as in `peerNetnsId`; undefined if it has none here. */
export function namespaceNumber(path: string, at?: At): number | undefined {
  return withNamespaceFd(path, (fd = -1) =>
    withNetlink(at, (netlink) => {
      const reply = netlink.request(RTM.getNamespace, Buffer.concat([Buffer.alloc(4), u32(NETNSA.fd, fd)]));
      if (!("body" in reply)) throw refused(`find number of namespace ${path}`, reply);
      const id = uint(attributes(reply.body.subarray(4)), NETNSA.id);
      return id === 0xffffffff ? undefined : id;
    }),
  );
}

/** A device's index. @throws KernelError `device-missing` */
export function ifindexOf(name: string, at?: At): number {
  const found = findLink(name, at);
  if (found) return found.ifindex;
  throw new KernelError(`find device ${name}`, { code: "device-missing", errno: "ENODEV", hint: "no such device" });
}

const CREATE = FLAG.request | FLAG.create | FLAG.exclusive;

function create(name: string, kind: string, extra: readonly Buffer[], data: readonly Buffer[], at: At): void {
  const info = nest(IFLA.linkInfo, text(INFO.kind, kind), ...(data.length > 0 ? [nest(INFO.data, ...data)] : []));
  const body = Buffer.concat([linkHeader(), text(IFLA.name, checkDeviceName(name)), ...extra, info]);
  perform(at, `create ${kind} ${name}`, { type: RTM.newLink, flags: CREATE, body });
}

type EndSettings = Omit<DeviceSettings, "up" | "netns" | "name">;
export interface VethSpec extends EndSettings {
  name: string;
  peer: EndSettings & { name: string; netns?: string };
}

/** Creates a veth pair, down, with the peer in its namespace. @throws KernelError `netlink-refused` (EEXIST) */
export function createVeth(spec: VethSpec, at?: At): void {
  const { netns, name, ...rest } = spec.peer;
  withNamespaceFd(netns, (target) => {
    const peer = Buffer.concat([
      linkHeader(),
      text(IFLA.name, checkDeviceName(name)),
      ...settings(rest),
      ...(target === undefined ? [] : [u32(IFLA.netnsFd, target)]),
    ]);
    const { name: own, peer: _peer, ...first } = spec;
    create(own, "veth", settings(first), [attr(VETH_PEER, peer)], at);
  });
}

export interface VxlanSpec extends EndSettings {
  name: string;
  /** UDP port; one device per port and namespace. */
  port: number;
  /** The only VNI whose packets it accepts. */
  vni: number;
}

/**
 * Creates a VXLAN device whose tunnel keys are set by programs (collect-metadata mode), without learning. It accepts no
 * packets before `allowVni`.
 */
export function createVxlan({ name, port, vni, ...rest }: VxlanSpec, at?: At): void {
  const data = [
    u32(VXLAN.vni, vni), // for information only: packets are filtered by VNI
    u8(VXLAN.vniFilter, 1),
    u8(VXLAN.learning, 0),
    u16be(VXLAN.port, port),
    u8(VXLAN.collectMetadata, 1),
    u8(VXLAN.zeroChecksum6Receive, 1),
  ];
  create(name, "vxlan", settings(rest), data, at);
}

/** Creates a device that needs no options: `ifb`, `bridge`, `dummy`. */
export function createLink({ name, kind, ...rest }: EndSettings & { name: string; kind: string }, at?: At): void {
  create(name, kind, settings(rest), [], at);
}

/** Changes a device. @throws KernelError `netlink-refused` (ENODEV) */
export function setLink(device: string | number, wanted: DeviceSettings, at?: At): void {
  const { up, netns, ...rest } = wanted;
  withNamespaceFd(netns, (target) => {
    const ifindex = typeof device === "number" ? device : 0;
    const flags = up === undefined ? linkHeader(ifindex) : linkHeader(ifindex, up ? IFF.up : 0, IFF.up);
    const move = target === undefined ? [] : [u32(IFLA.netnsFd, target)];
    const change = (body: Buffer[]) => ({ type: RTM.newLink, flags: FLAG.request, body: Buffer.concat(body) });
    withNetlink(at, (netlink) => {
      // a name attribute selects the device, so renaming needs the index
      const byName = typeof device === "string" && rest.name === undefined;
      const select = byName ? [flags, text(IFLA.name, checkDeviceName(device))] : [flags];
      if (typeof device === "string" && !byName) flags.writeInt32LE(ifindexOf(device, netlink), 4);
      perform(netlink, `set device ${device}`, change([...select, ...settings(rest), ...move]));
    });
  });
}

/** Deletes a device, and a veth's peer with it. Returns false if there was none. */
export function removeLink(device: string, at?: At): boolean {
  const body = Buffer.concat([linkHeader(), text(IFLA.name, checkDeviceName(device))]);
  return perform(at, `remove device ${device}`, { type: RTM.deleteLink, flags: FLAG.request, body }, ["ENODEV"]);
}

function withNamespaceFd<T>(path: string | undefined, fn: (fd: number | undefined) => T): T {
  if (path === undefined) return fn(undefined);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw new KernelError(`open network namespace ${path}`, { code: "namespace-missing", cause });
  }
  try {
    return fn(fd);
  } finally {
    closeSync(fd);
  }
}
