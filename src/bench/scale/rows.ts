import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../../kernel/index.ts";

/** A map that an agent has pinned. */
export interface PinnedMap {
  /** Its file, which has its whole name. */
  name: string;
  map: Pick<BpfMap, "entries" | "close">;
}

/** Rows by the map's type: of more it takes longer to read them than what is measured. Other types are not looked at. */
const MOST_ROWS: Readonly<Record<string, number>> = { hash: 4096, lpm_trie: 512 };
/** Renewed by the agent itself, whatever else happens. */
const RENEWED = /lease/;

/**
 * Sees by the kernel's maps when a change is in force, whatever build wrote them: the agent is not asked, which would cost
 * it time of its own. Which maps a kind of change writes is learnt from the first of its kind.
 */
export class RowWatch {
  readonly #maps: readonly PinnedMap[];

  constructor(maps: readonly PinnedMap[]) {
    this.#maps = maps;
  }

  /** Opens the maps that are pinned below a folder. */
  static open(folder: string): RowWatch {
    const found = pins(folder).filter(({ map }) => {
      const most = MOST_ROWS[map.type];
      const isRead = most !== undefined && map.entries().length <= most;
      if (!isRead) map.close();
      return isRead;
    });
    return new RowWatch(found.filter(({ name }) => !RENEWED.test(name)));
  }

  /** What each map holds, by its name. */
  digests(): Map<string, string> {
    return new Map(this.#maps.map(({ name, map }) => [name, digestOf(map)]));
  }

  /** What these maps hold together. */
  digest(names: ReadonlySet<string>): string {
    return this.#maps.flatMap(({ name, map }) => (names.has(name) ? [digestOf(map)] : [])).join(" ");
  }

  close(): void {
    for (const { map } of this.#maps) map.close();
  }
}

/** Names of what differs. */
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

/** A pin may be a program's or a link's. */
function openMap(path: string): BpfMap | undefined {
  try {
    return BpfMap.open(path);
  } catch {
    return undefined;
  }
}
