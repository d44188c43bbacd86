import { rmSync } from "node:fs";
import { attachClsact } from "./clsact.ts";
import { KernelError } from "./errors.ts";
import type { Program } from "./program.ts";
import { attachTcx, TcxLink, tcxSupported } from "./tcx.ts";

export type Direction = "ingress" | "egress";

/** A program attached to a device. */
export interface Link {
  readonly kind: "tcx" | "clsact";
  /** 0 once the device is gone (tcx). */
  readonly ifindex: number;
  readonly direction: Direction;
  /** Id of the program in force. */
  readonly programId: number;
  /** Keeps the attachment after this process. */
  pin(path: string): void;
  /** Replaces the program atomically. */
  update(program: Program): void;
  /** Ends the attachment, pinned or not. Idempotent. */
  detach(): void;
  /** Lets go of the handle; an unpinned tcx attachment ends with it. Idempotent. */
  close(): void;
}

/** Opens a pinned link. @throws KernelError `not-pinned`, `wrong-kind` */
export const openLink = (path: string): Link => TcxLink.open(path);

/**
 * Makes sure that the program is attached to a device of this thread's namespace: by tcx, or clsact where the kernel
 * has no tcx. With `pin` the link at that path is used again (its program replaced atomically) if it is this device's.
 */
export function attachDevice(
  program: Program,
  ifindex: number,
  direction: Direction,
  { pin }: { pin?: string } = {},
): Link {
  if (!tcxSupported(program)) return attachClsact(program, ifindex, direction);
  if (!pin) return attachTcx(program, ifindex, direction);
  const known = reuse(pin, program, ifindex, direction);
  if (known) return known;
  rmSync(pin, { force: true });
  const link = attachTcx(program, ifindex, direction);
  try {
    link.pin(pin);
  } catch (error) {
    link.close();
    throw error;
  }
  return link;
}

function reuse(pin: string, program: Program, ifindex: number, direction: Direction): Link | undefined {
  const link = openIfPinned(pin);
  if (!link) return undefined;
  if (link.ifindex === ifindex && link.direction === direction) {
    if (link.programId !== program.id) link.update(program);
    return link;
  }
  link.close();
  return undefined;
}

function openIfPinned(pin: string): Link | undefined {
  try {
    return openLink(pin);
  } catch (error) {
    if (error instanceof KernelError && (error.code === "not-pinned" || error.code === "wrong-kind")) return undefined;
    throw error;
  }
}
