import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Stage } from "../../src/bench/stage.ts";
import { BpfMap } from "../../src/kernel/index.ts";

/** Maps that BPF programs write, or that have no readable rows. */
const MOVING = new Set(["weir_drops", "weir_ports", "weir_up_rates", "weir_traces", "weir_upcalls"]);

/** The folder of a node's pins, searched in the lab's bpffs. */
export function panelRoot(stage: Stage, node: string): string {
  const root = join("/run/weir/labs", stage.name, "bpf", "weir", node);
  if (!existsSync(root)) throw new Error(`find panel of ${node}: ${root} is not there`);
  return root;
}

/** Names of a node's panels: `abi-1-…`. There is one, except while devices move to another. */
export function panels(stage: Stage, node: string): string[] {
  return pinned(stage, node).filter((name) => name.startsWith("abi-"));
}

/** Names of the pins below a folder of a node's panel, e.g. `PANEL/programs`. */
export function pinned(stage: Stage, node: string, folder = ""): string[] {
  return readdirSync(join(panelRoot(stage, node), folder)).sort();
}

/** Every row of every map that only userspace writes, by the map's name: `key=value` in hexadecimal, sorted. */
export function dumpMaps(stage: Stage, node: string): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const abi of panels(stage, node)) {
    const folder = `${abi}/maps`;
    for (const name of pinned(stage, node, folder)) {
      const rows = MOVING.has(name) ? undefined : dump(join(panelRoot(stage, node), folder, name));
      if (rows) out.set(`${abi}/${name}`, rows);
    }
  }
  return out;
}

function dump(path: string): string[] | undefined {
  const map = BpfMap.open(path);
  try {
    if (map.type === "ringbuf" || map.type.startsWith("lru_") || map.type.startsWith("percpu_")) return undefined;
    return map
      .entries()
      .flatMap(([key, value]) => {
        const empty = map.type.includes("array") && value.every((byte) => byte === 0);
        return empty ? [] : [`${key.toString("hex")}=${value.toString("hex")}`];
      })
      .sort();
  } finally {
    map.close();
  }
}
