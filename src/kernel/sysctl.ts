import { readFileSync, writeFileSync } from "node:fs";
import { KernelError, systemErrno } from "./errors.ts";
import { maybeInNamespace } from "./namespace.ts";

/** The path of a sysctl. /proc/sys/net is that of the opening thread's namespace. */
function path(key: string): string {
  const parts = key.split("/");
  if (parts[0] !== "net" || parts.some((part) => !/^[^\s/\0]+$/.test(part) || part === "." || part === "..")) {
    throw new KernelError(`use sysctl ${JSON.stringify(key)}`, { code: "sysctl-name", hint: "net/… with slashes" });
  }
  return `/proc/sys/${key}`;
}

function attempt<T>(action: string, fn: () => T): T {
  try {
    return fn();
  } catch (cause) {
    const errno = systemErrno(cause);
    const hint = errno === "ENOENT" ? "this kernel or namespace has no such setting" : undefined;
    throw new KernelError(action, {
      code: errno === "ENOENT" ? "sysctl-missing" : "sysctl-failed",
      errno,
      hint,
      cause,
    });
  }
}

/** @param key with slashes, since device names may contain dots: `net/ipv4/conf/eth0/rp_filter` */
export function readSysctl(key: string, netns?: string): string {
  const file = path(key);
  return maybeInNamespace(netns, () => attempt(`read sysctl ${key}`, () => readFileSync(file, "utf8").trim()));
}

/** Writes a network sysctl of one namespace. @throws KernelError `sysctl-missing`, `sysctl-failed` */
export function writeSysctl(key: string, value: string | number, netns?: string): void {
  const file = path(key);
  maybeInNamespace(netns, () => attempt(`write sysctl ${key}`, () => writeFileSync(file, String(value))));
}
