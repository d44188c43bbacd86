import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BpfMap, mapSchema } from "../kernel/index.ts";
import type { ObjectFile, PinFolders } from "./objects.ts";

/** Maps of the flow table, which all panels of a node share (`bpf/flow.h`). */
export const FLOW_MAP = {
  buckets: "weir_flow_buckets",
  owners: "weir_flow_owners",
  quotas: "weir_flow_quotas",
  config: "weir_flow_config",
} as const;
const FLOW_MAPS: ReadonlySet<string> = new Set(Object.values(FLOW_MAP));

/** How large a table is made. One that is there keeps its size. */
export interface FlowTableSize {
  /** A power of two; 6,464 bytes each, with 32 rows. A table is made for half as many flows as it has rows. */
  buckets: number;
  /** Ids of owners are below this; 68 bytes each. */
  owners: number;
}
export const FLOW_TABLE_SIZE: FlowTableSize = { buckets: 4096, owners: 16384 };

/** Is this map part of the flow table, and not of a panel? */
export const isFlowMap = (map: string): boolean => FLOW_MAPS.has(map);

/** Does this object use the flow table? */
export const usesFlows = (file: ObjectFile): boolean => file.spec.maps.some(isFlowMap);

/**
 * Folder of the table that these objects share: `flows-<schema>`, beside the panels, which come and go. Undefined if none
 * of them uses it. @throws Error if they disagree about its layout
 */
export function flowFolder(root: string, files: readonly ObjectFile[]): string | undefined {
  const names = [...FLOW_MAPS];
  const schemas = new Set(
    files.filter(usesFlows).map(({ spec }) => mapSchema(names.map((map) => ({ btf: spec.btf, map })))),
  );
  if (schemas.size > 1)
    throw new Error(`open flow table in ${root}: functions disagree about its layout; build all anew`);
  const [schema] = schemas;
  return schema === undefined ? undefined : join(root, `flows-${schema}`);
}

/** Where the table's maps are pinned, by their names. */
export const flowPins = (folder: string): Record<string, string> =>
  Object.fromEntries([...FLOW_MAPS].map((map) => [map, join(folder, map)]));

/** Sizes to load the table's maps with: `size` where they are made, else their own. @throws Error on a size of no use */
export function flowMapSizes(folder: string, { buckets, owners }: FlowTableSize): Record<string, number> {
  if (buckets < 2 || !Number.isInteger(Math.log2(buckets))) {
    throw new Error(`size flow table: ${buckets} buckets are no power of two above 1`);
  }
  if (!Number.isInteger(owners) || owners < 1 || owners > 65536) {
    throw new Error(`size flow table: ${owners} owners are not 1 to 65536`);
  }
  const made = { [FLOW_MAP.buckets]: buckets, [FLOW_MAP.owners]: owners, [FLOW_MAP.quotas]: owners };
  return Object.fromEntries(Object.entries(made).map(([map, entries]) => [map, sizeOf(join(folder, map)) ?? entries]));
}

function sizeOf(pin: string): number | undefined {
  if (!existsSync(pin)) return undefined;
  const map = BpfMap.open(pin);
  const { maxEntries } = map;
  map.close();
  return maxEntries;
}

/** How functions are to be loaded that share the table in this folder, which is made. None: nothing of it is needed. */
export function withFlows(folder: string | undefined, size: FlowTableSize): Pick<PinFolders, "elsewhere" | "rows"> {
  if (folder === undefined) return {};
  mkdirSync(folder, { recursive: true });
  return { elsewhere: flowPins(folder), rows: flowMapSizes(folder, size) };
}

/** Removes tables that no panel uses any more; their flows end with them. Names of what went. */
export function dropOtherTables(root: string, keep: string | undefined): string[] {
  const old = readdirSync(root).filter((name) => name.startsWith("flows-") && join(root, name) !== keep);
  for (const name of old) rmSync(join(root, name), { recursive: true, force: true });
  return old;
}
