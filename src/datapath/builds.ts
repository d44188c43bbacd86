import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BpfMap, codec, openBpfLink, Program } from "../kernel/index.ts";

/** Another build's panel in the same folder, as described by its configuration. */
export interface OtherPanel {
  /** Folder of its pins. */
  path: string;
  /** ABI version; 0: it never was in force. */
  abi: number;
  /** Order in which panels came into force; higher is later. */
  epoch: number;
}

/** Reads the pinned configuration of a panel of any build. */
export function readPanel(path: string): OtherPanel {
  const { abi = 0, epoch = 0 } = readConfig(join(path, "maps", "weir_config"));
  return { path, abi: Number(abi), epoch: Number(epoch) };
}

function readConfig(path: string): { abi?: unknown; epoch?: unknown } {
  if (!existsSync(path)) return {};
  const map = BpfMap.open(path);
  try {
    const value = map.types()?.value;
    const row = map.lookup(Buffer.alloc(map.keySize));
    return value && row ? codec(value.btf, value.type).decode(row) : {};
  } finally {
    map.close();
  }
}

/**
 * Panels of other builds in the order in which they came into force. Panels of builds without an epoch are ordered by
 * age.
 */
export function otherPanels(own: string): OtherPanel[] {
  const root = dirname(own);
  const names = readdirSync(root).filter((name) => name.startsWith("abi-") && name !== basename(own));
  const age = ({ path }: OtherPanel) => statSync(path).mtimeMs;
  return names
    .map((name) => readPanel(join(root, name)))
    .toSorted((a, b) => a.epoch - b.epoch || Math.sign(a.abi) - Math.sign(b.abi) || age(a) - age(b));
}

/** Whether any existing device runs a program of this panel. @param links folder of the pinned BPF links */
export function isAttached(panel: string, links: string): boolean {
  const folder = join(panel, "programs");
  const programs = new Set(existsSync(folder) ? readdirSync(folder).map((pin) => programId(join(folder, pin))) : []);
  return readdirSync(links).some((pin) => {
    const link = openBpfLink(join(links, pin));
    try {
      return link.ifindex !== 0 && programs.has(link.programId);
    } finally {
      link.close();
    }
  });
}

function programId(pin: string): number {
  const program = Program.open(pin);
  program.close();
  return program.id;
}

/** A panel's program for packets from Weir's own devices, if it exists. The caller closes it. */
export function resumeProgram({ path }: OtherPanel): Program | undefined {
  const folder = join(path, "programs");
  const pin = existsSync(folder) && readdirSync(folder).find((name) => name.startsWith("weir_resume_"));
  return pin ? Program.open(join(folder, pin)) : undefined;
}

/** Removes all pins of a panel. */
export function removePanel({ path }: OtherPanel): void {
  rmSync(path, { recursive: true, force: true });
}
