import type { Program } from "./program.ts";

export type Direction = "ingress" | "egress";

/** A program attached to a device: a tcx BPF link, or a clsact filter on kernels without tcx. */
export interface BpfLink {
  readonly kind: "tcx" | "clsact";
  /** 0 once the device is gone (tcx). */
  readonly ifindex: number;
  readonly direction: Direction;
  /** Id of the attached program. */
  readonly programId: number;
  /** Pins it, so that it outlives this process. */
  pin(path: string): void;
  /** Replaces the program atomically. */
  update(program: Program): void;
  /** Detaches the program, pinned or not. Idempotent. */
  detach(): void;
  /** Closes the handle; an unpinned tcx link ends with it. Idempotent. */
  close(): void;
}
