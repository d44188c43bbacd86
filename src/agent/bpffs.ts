import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentConfig } from "../api/config.ts";
import { isBpffs, mountBpffs, unmountBpffs } from "../kernel/index.ts";

type Places = Pick<AgentConfig, "bpffs" | "state">;

/** Says that the mount is Weir's own doing, and where it is. */
export const mountNote = (state: string): string => join(state, "mounted-bpffs");

/** Mounts the BPF file system if nobody did, and notes it for the day of removal. */
export function ensureBpffs({ bpffs, state }: Places): void {
  if (isBpffs(bpffs)) return;
  mkdirSync(state, { recursive: true, mode: 0o700 });
  // before the mount: on a full disk it would never be undone
  writeFileSync(mountNote(state), bpffs, { mode: 0o600 });
  try {
    mountBpffs(bpffs);
  } catch (error) {
    rmSync(mountNote(state));
    throw error;
  }
}

/** Unmounts what `ensureBpffs` mounted. */
export function releaseBpffs({ bpffs, state }: Places): void {
  const note = mountNote(state);
  if (!existsSync(note)) return;
  if (readFileSync(note, "utf8") === bpffs) unmountBpffs(bpffs);
  rmSync(note);
}
