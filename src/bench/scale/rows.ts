import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../../kernel/index.ts";

/** A map that an agent has pinned. */
export interface PinnedMap {
  /** The pin's file name, which is the map's complete name. */
  name: string;
  map: Pick<BpfMap, "entries" | "close">;
}

/** Maps of these types with at most so many rows are read; reading larger ones takes longer than the measured changes. */
const MOST_ROWS: Readonly<Record<string, number>> = { hash: 4096, lpm_trie: 512 };
/** Names of maps that the agent writes regularly. */
const RENEWED = /lease/;

/**
 * Finds from the kernel's maps when a change is in force, with any build. The agent is not queried, which would cost
 * CPU time. The maps that a kind of change writes are recorded at its first change.
 */
export class RowWatch {
  readonly #maps: readonly PinnedMap[];

  constructor(maps: readonly PinnedMap[]) {
    this.#maps = maps;
  }

  /** Opens the maps pinned below a folder. */
  static open(folder: string): RowWatch {
    const found = pins(folder).filter(({ map }) => {
      const most = MOST_ROWS[map.type];
      const isRead = most !== undefined && map.entries().length <= most;
      if (!isRead) map.close();
      return isRead;
    });
    return new RowWatch(found.filter(({ name }) => !RENEWED.test(name)));
  }

  /** Digests of the maps' rows by name. */
  digests(): Map<string, string> {
    return new Map(this.#maps.map(({ name, map }) => [name, digestOf(map)]));
  }

  /** One digest of these maps' rows. */
  digest(names: ReadonlySet<string>): string {
    return this.#maps.flatMap(({ name, map }) => (names.has(name) ? [digestOf(map)] : [])).join(" ");
  }

  close(): void {
    for (const { map } of this.#maps) map.close();
  }
}

/** Names of the maps whose digests differ. */
export function changedMaps(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): Set<string> {
  return new Set([...after].filter(([name, digest]) => before.get(name) !== digest).map(([name]) => name));
}

function digestOf(map: PinnedMap["map"]): string {
  const hash = createHash("sha1");
  for (const [key, value] of map.entries()) hash.update(key).update(value);
  return hash.digest("base64");
}

function pins(folder: string): { name: string; map: BpfMap }[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return pins(path);
    const map = openMap(path);
    return map ? [{ name: entry.name, map }] : [];
  });
}

/** Opens a pin; undefined if it is a program or a BPF link. */
function openMap(path: string): BpfMap | undefined {
  try {
    return BpfMap.open(path);
  } catch {
    return undefined;
  }
}
