import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentConfig } from "../api/config.ts";
import { deviceOf, isBpffs, mountBpffs, mountView, outlivesUs, unmountBpffs } from "../kernel/index.ts";

type Places = Pick<AgentConfig, "bpffs" | "state">;

/** Says that the mount is Weir's own doing, and where it is. */
export const mountNote = (state: string): string => join(state, "mounted-bpffs");

/**
 * Mounts the BPF file system if nobody did, and notes it for the day of removal. Refuses one that ends with this process:
 * programs and rules would end with it, at once and for all pods.
 */
export function ensureBpffs(places: Places): void {
  const { bpffs, state } = places;
  const isOurs = !isBpffs(bpffs);
  const wasNoted = existsSync(mountNote(state));
  if (isOurs) mountNoted(places);
  if (outlivesUs(deviceOf(bpffs), mountView())) return;
  if (isOurs) unmountBpffs(bpffs);
  if (!wasNoted) rmSync(mountNote(state), { force: true });
  throw new Error(
    `use bpffs ${bpffs}: it is in a mount namespace of the agent's own, and every rule would end with the agent ` +
      "(start it by nsenter --net=/run/netns/NAME weir agent, which keeps the machine's mounts, not by ip netns exec; " +
      "or mount one before, for all: mount -t bpf bpf DIR, and weir agent --bpffs DIR)",
  );
}

function mountNoted({ bpffs, state }: Places): void {
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
