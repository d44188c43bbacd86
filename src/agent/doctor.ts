import type { Doctor } from "../api/schemas.ts";
import { examine as probe } from "../kernel/index.ts";

/** What this machine can and cannot do, and what follows. Rejects for another user than root: the kernel tells only root. */
export async function examine(bpffs?: string): Promise<Doctor> {
  if (process.geteuid?.() !== 0)
    throw new Error("examine this machine: EPERM (the kernel answers only root: try sudo)");
  return probe(bpffs);
}
