import koffi from "koffi";
import { errnoName, KernelError } from "./errors.ts";
import { libc } from "./ffi.ts";
import { inNamespace } from "./namespace.ts";

const FAMILIES = { 4: 2, 6: 10 } as const;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/**
 * Opens a TCP socket in the network namespace at `path`, neither bound nor connected. The caller owns the descriptor.
 * @throws KernelError `namespace-missing`, `socket-failed`
 */
export function openStream(path: string, family: 4 | 6): number {
  return inNamespace(path, () => {
    const fd = libc.socket(FAMILIES[family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number;
    if (fd >= 0) return fd;
    throw new KernelError(`open a TCP socket in ${path}`, { code: "socket-failed", errno: errnoName(koffi.errno()) });
  });
}
