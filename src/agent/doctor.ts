import type { Doctor } from "../api/schemas.ts";
import { examine as probe } from "../kernel/index.ts";

/** What this machine can and cannot do, and what follows. */
export async function examine(): Promise<Doctor> {
  return probe();
}
