import { rmSync } from "node:fs";
import { attachClsact, ClsactLink } from "./clsact.ts";
import { KernelError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { BpfMap } from "./map.ts";
import { openAnyPinned, wrongKind } from "./pin.ts";
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

/** Opens a pinned link, of either kind. @throws KernelError `not-pinned`, `wrong-kind` */
export function openLink(path: string): Link {
  const { fd, kind } = openAnyPinned(path, "link");
  if (kind === "link") return TcxLink.adopt(path, fd);
  const holder = new Fd(`link ${path}`, fd);
  if (kind === "map") return ClsactLink.adopt(path, new BpfMap(holder));
  holder.close();
  throw wrongKind(path, "link", kind);
}

export interface AttachOptions {
  /** Where the link is pinned; one that is there is used again if it is this device's. */
  pin?: string;
  /** Default: tcx, or clsact where the kernel has no tcx. */
  kind?: Link["kind"];
  /** Which of several programs of ours at this end of the device, from 0: filters are told apart by it. */
  place?: number;
}

/**
 * Makes sure that the program is attached to a device of this thread's namespace. A program that is attached there by
 * the same pin is replaced atomically; without a pin a tcx link is new and ends with its handle.
 */
export function attachDevice(
  program: Program,
  ifindex: number,
  direction: Direction,
  { pin, kind = tcxSupported(program) ? "tcx" : "clsact", place = 0 }: AttachOptions = {},
): Link {
  const attach = (): Link =>
    kind === "tcx" ? attachTcx(program, ifindex, direction) : attachClsact(program, ifindex, direction, place);
  if (!pin) return attach();
  const known = openIfPinned(pin);
  if (known?.kind === kind && known.ifindex === ifindex && known.direction === direction) {
    if (known.programId !== program.id) known.update(program);
    return known;
  }
  known?.close();
  rmSync(pin, { force: true });
  return pinned(attach(), pin);
}

function pinned(link: Link, pin: string): Link {
  try {
    link.pin(pin);
    return link;
  } catch (error) {
    link.detach();
    link.close();
    throw error;
  }
}

function openIfPinned(pin: string): Link | undefined {
  try {
    return openLink(pin);
  } catch (error) {
    if (error instanceof KernelError && (error.code === "not-pinned" || error.code === "wrong-kind")) return undefined;
    throw error;
  }
}
