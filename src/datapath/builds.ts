import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BpfMap, codec, openLink, Program } from "../kernel/index.ts";

/** A panel of another build in the same folder, as far as its configuration tells. */
export interface OtherPanel {
  /** Folder with its pins. */
  path: string;
  /** 0: it never applied a state. */
  abi: number;
  /** The higher, the later it came into force. */
  epoch: number;
}

/** What a panel's pinned configuration says, whatever build it is of. */
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

/** Panels of other builds, in the order in which they came into force. Those of builds without an epoch go by age. */
export function otherPanels(own: string): OtherPanel[] {
  const root = dirname(own);
  const names = readdirSync(root).filter((name) => name.startsWith("abi-") && name !== basename(own));
  const age = ({ path }: OtherPanel) => statSync(path).mtimeMs;
  return names
    .map((name) => readPanel(join(root, name)))
    .toSorted((a, b) => a.epoch - b.epoch || Math.sign(a.abi) - Math.sign(b.abi) || age(a) - age(b));
}

/** Whether a device that is there still runs a program of this panel. `links`: folder of the pinned BPF links. */
export function isAttached(panel: string, links: string): boolean {
  const folder = join(panel, "programs");
  const programs = new Set(existsSync(folder) ? readdirSync(folder).map((pin) => programId(join(folder, pin))) : []);
  return readdirSync(links).some((pin) => {
    const link = openLink(join(links, pin));
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

/** What a panel has behind Weir's devices, if it is there. The caller closes it. */
export function resumeProgram({ path }: OtherPanel): Program | undefined {
  const folder = join(path, "programs");
  const pin = existsSync(folder) && readdirSync(folder).find((name) => name.startsWith("weir_resume_"));
  return pin ? Program.open(join(folder, pin)) : undefined;
}

/** Removes all pins of a panel. */
export function removePanel({ path }: OtherPanel): void {
  rmSync(path, { recursive: true, force: true });
}
