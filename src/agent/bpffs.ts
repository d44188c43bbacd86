import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentConfig } from "../api/config.ts";
import { deviceOf, isBpffs, mountBpffs, mountView, outlivesUs, unmountBpffs } from "../kernel/index.ts";

type Places = Pick<AgentConfig, "bpffs" | "state">;

/** The file that records that Weir mounted the bpffs, and where. */
export const mountNote = (state: string): string => join(state, "mounted-bpffs");

/**
 * Mounts the BPF file system if nobody has, and records that for `releaseBpffs`.
 * @throws Error if the bpffs would end with this process: all programs and rules would end with it
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
  // written before mounting: if it failed afterwards, on a full disk, the mount would never be removed
  writeFileSync(mountNote(state), bpffs, { mode: 0o600 });
  try {
    mountBpffs(bpffs);
  } catch (error) {
    rmSync(mountNote(state));
    throw error;
  }
}

/** Unmounts the bpffs if `ensureBpffs` mounted it. */
export function releaseBpffs({ bpffs, state }: Places): void {
  const note = mountNote(state);
  if (!existsSync(note)) return;
  if (readFileSync(note, "utf8") === bpffs) unmountBpffs(bpffs);
  rmSync(note);
}
