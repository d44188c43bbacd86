import type { Doctor } from "../api/schemas.ts";
import { examine as probe } from "../kernel/index.ts";

/**
 * Examines what this machine supports, with the consequences. Rejects for users other than root, who cannot query the
 * kernel.
 */
export async function examine(bpffs?: string): Promise<Doctor> {
  if (process.geteuid?.() !== 0)
    throw new Error("examine this machine: EPERM (the kernel answers only root: try sudo)");
  return probe(bpffs);
}
