import koffi from "koffi";
import { errnoName, KernelError } from "../errors.ts";
import { Fd } from "../fd.ts";
import { lazy, libc } from "../ffi.ts";
import { maybeInNamespace } from "../namespace.ts";
import { checkDeviceName } from "./address.ts";

const AF_INET_DGRAM = [2, 0o2000002] as const;
const SIOCETHTOOL = 0x8946;
const COMMAND = { sets: 0x37, strings: 0x1b, features: 0x3a, setFeatures: 0x3b };
const FEATURE_STRINGS = 4;
const NAME = 32;

const ifreq = lazy(() =>
  koffi.struct({ name: koffi.array("char", 16), data: "void *", rest: koffi.array("uint8_t", 16) }),
);
const ifreqPointer = lazy(() => koffi.pointer(ifreq()));

/** Offloads to switch on or off; others are not changed. */
export interface Offloads {
  /** Segmentation of every protocol on transmit. Off: the stack splits GSO packets before the device gets them. */
  segmentation?: boolean;
  /** Receive coalescing. */
  gro?: boolean;
  /** Checksums filled in by the device. Off: by the stack. Segmentation depends on it. */
  txChecksum?: boolean;
}

const GROUPS: Readonly<Record<keyof Offloads, RegExp>> = {
  segmentation: /^tx-(.*segmentation|gso-.*)$/,
  gro: /^rx-gro$/,
  txChecksum: /^tx-checksum-(ip-generic|ipv4|ipv6)$/,
};

/** A feature by the kernel's name; a `fixed` one cannot be changed. */
export interface Feature {
  active: boolean;
  fixed: boolean;
}

function ioctl(fd: number, device: string, data: Buffer, action: string): number {
  const request = koffi.alloc(ifreq(), 1);
  try {
    koffi.encode(request, ifreq(), { name: device, data, rest: new Uint8Array(16) });
    const result = libc.ioctl(fd, SIOCETHTOOL, koffi.as(request, ifreqPointer())) as number;
    if (result >= 0) return result;
    const errno = errnoName(koffi.errno());
    const hint = errno === "ENODEV" ? "no such device" : undefined;
    throw new KernelError(`${action} of device ${device}`, { code: "ethtool-failed", errno, hint });
  } finally {
    koffi.free(request);
  }
}

function withSocket<T>(netns: string | undefined, fn: (fd: number) => T): T {
  const number = maybeInNamespace(netns, () => libc.socket(...AF_INET_DGRAM, 0) as number);
  if (number < 0) throw new KernelError("open socket", { code: "ethtool-failed", errno: errnoName(koffi.errno()) });
  const fd = new Fd("socket", number);
  try {
    return fn(number);
  } finally {
    fd.close();
  }
}

function featureNames(fd: number, device: string): string[] {
  const sets = Buffer.alloc(20);
  sets.writeUInt32LE(COMMAND.sets, 0);
  sets.writeBigUInt64LE(1n << BigInt(FEATURE_STRINGS), 8);
  ioctl(fd, device, sets, "count features");
  const count = sets.readUInt32LE(16);
  const strings = Buffer.alloc(12 + count * NAME);
  strings.writeUInt32LE(COMMAND.strings, 0);
  strings.writeUInt32LE(FEATURE_STRINGS, 4);
  strings.writeUInt32LE(count, 8);
  ioctl(fd, device, strings, "name features");
  return Array.from({ length: count }, (_, i) => {
    const field = strings.subarray(12 + i * NAME, 12 + (i + 1) * NAME);
    return field.toString("latin1", 0, Math.max(0, field.indexOf(0)));
  });
}

const blocksOf = (count: number) => Math.ceil(count / 32);
const bit = (bytes: Buffer, at: number, index: number) => (bytes.readUInt32LE(at) >>> (index % 32)) % 2 === 1;

function readFeatures(fd: number, device: string, names: readonly string[]): Map<string, Feature> {
  const blocks = blocksOf(names.length);
  const request = Buffer.alloc(8 + blocks * 16);
  request.writeUInt32LE(COMMAND.features, 0);
  request.writeUInt32LE(blocks, 4);
  ioctl(fd, device, request, "read features");
  return new Map(
    names.map((name, i) => {
      const block = 8 + Math.floor(i / 32) * 16; // words: available, requested, active, never changed
      const fixed = !bit(request, block, i) || bit(request, block + 12, i);
      return [name, { active: bit(request, block + 8, i), fixed }];
    }),
  );
}

/** A device's features. @throws KernelError `ethtool-failed` */
export function deviceFeatures(device: string, netns?: string): Map<string, Feature> {
  return withSocket(netns, (fd) => readFeatures(fd, checkDeviceName(device), featureNames(fd, device)));
}

/** Whether a device has some of these offloads that can be switched. @throws KernelError `ethtool-failed` */
export function hasOffloads(device: string, groups: readonly (keyof Offloads)[], netns?: string): boolean {
  const isOf = (name: string): boolean => groups.some((group) => GROUPS[group].test(name));
  return [...deviceFeatures(device, netns)].some(([name, { active, fixed }]) => active && !fixed && isOf(name));
}

/**
 * Switches a device's offloads, and checks the result.
 * @throws KernelError `ethtool-failed`; `offload-kept`: the device did not switch one off
 */
export function setOffloads(device: string, wanted: Offloads, netns?: string): void {
  withSocket(netns, (fd) => {
    const names = featureNames(fd, checkDeviceName(device));
    const targets = new Map<string, boolean>();
    const known = readFeatures(fd, device, names);
    for (const [group, on] of Object.entries(wanted)) {
      const pattern = GROUPS[group as keyof Offloads];
      for (const [name, { fixed }] of known) if (pattern.test(name) && !fixed) targets.set(name, on);
    }
    switchFeatures(fd, device, names, targets);
    const after = readFeatures(fd, device, names);
    const kept = [...targets].filter(([name, on]) => !on && after.get(name)?.active).map(([name]) => name);
    if (kept.length === 0) return;
    throw new KernelError(`switch offloads of device ${device}`, {
      code: "offload-kept",
      hint: `${kept.join(", ")} stay`,
    });
  });
}

function switchFeatures(fd: number, device: string, names: readonly string[], targets: Map<string, boolean>): void {
  const blocks = blocksOf(names.length);
  const request = Buffer.alloc(8 + blocks * 8);
  request.writeUInt32LE(COMMAND.setFeatures, 0);
  request.writeUInt32LE(blocks, 4);
  for (const [i, name] of names.entries()) {
    const on = targets.get(name);
    if (on === undefined) continue;
    const block = 8 + Math.floor(i / 32) * 8; // words: valid, requested
    const mask = (1 << (i % 32)) >>> 0;
    request.writeUInt32LE((request.readUInt32LE(block) | mask) >>> 0, block);
    if (on) request.writeUInt32LE((request.readUInt32LE(block + 4) | mask) >>> 0, block + 4);
  }
  ioctl(fd, device, request, "switch features");
}
