import { rmSync } from "node:fs";
import type { BpfLink, Direction } from "./bpf-link.ts";
import { attachClsact, ClsactLink } from "./clsact.ts";
import { KernelError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { BpfMap } from "./map.ts";
import { openAnyPinned, wrongKind } from "./pin.ts";
import type { Program } from "./program.ts";
import { attachTcx, TcxLink, tcxSupported } from "./tcx.ts";

/** Opens a pinned BPF link or filter. @throws KernelError `not-pinned`, `wrong-kind` */
export function openBpfLink(path: string): BpfLink {
  const { fd, kind } = openAnyPinned(path, "link");
  if (kind === "link") return TcxLink.adopt(path, fd);
  const holder = new Fd(`link ${path}`, fd);
  if (kind === "map") return ClsactLink.adopt(path, new BpfMap(holder));
  holder.close();
  throw wrongKind(path, "link", kind);
}

export interface AttachOptions {
  /** Where it is pinned. An existing pin is reused if it is for the same device. */
  pin?: string;
  /** Default: tcx if the kernel has it, else clsact. */
  kind?: BpfLink["kind"];
  /** Distinguishes several of Weir's programs on the same hook of a device, from 0. */
  place?: number;
}

/**
 * Attaches the program to a device of this thread's namespace. If a program is attached to the same hook by the same pin,
 * it is replaced atomically. Without a pin a tcx link ends with its handle.
 */
export function attachDevice(
  program: Program,
  ifindex: number,
  direction: Direction,
  { pin, kind = tcxSupported(program) ? "tcx" : "clsact", place = 0 }: AttachOptions = {},
): BpfLink {
  const attach = (): BpfLink =>
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

function pinned(link: BpfLink, pin: string): BpfLink {
  try {
    link.pin(pin);
    return link;
  } catch (error) {
    link.detach();
    link.close();
    throw error;
  }
}

function openIfPinned(pin: string): BpfLink | undefined {
  try {
    return openBpfLink(pin);
  } catch (error) {
    if (error instanceof KernelError && (error.code === "not-pinned" || error.code === "wrong-kind")) return undefined;
    throw error;
  }
}
