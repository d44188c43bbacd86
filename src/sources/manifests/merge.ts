import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import type { ParsedFile, PlacedObject } from "./parse.ts";

/** A file's objects: the valid ones, and the last valid state of invalid ones. */
export interface FileState {
  objects: readonly PlacedObject[];
  problems: readonly Problem[];
}

/** The objects of all files, sorted by key. */
export interface ManifestSnapshot {
  objects: readonly ManifestObject[];
  problems: readonly Problem[];
}

/**
 * The next state of a file. Invalid objects keep their last valid state; objects missing from a readable file are
 * deleted.
 */
export function reduceFile(previous: FileState | undefined, parsed: ParsedFile): FileState {
  const { problems, refused, complete } = parsed;
  const written = new Set(parsed.objects.map((one) => one.key));
  const kept = (previous?.objects ?? []).filter(({ key }) => !written.has(key) && (refused.has(key) || !complete));
  return { objects: [...parsed.objects, ...kept], problems };
}

/** Whether changing from one state to the other deletes an object. */
export function loses(previous: FileState | undefined, next: FileState): boolean {
  const keys = new Set(next.objects.map((one) => one.key));
  return (previous?.objects ?? []).some((one) => !keys.has(one.key));
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Merges files. Of an object in several files the one in the first file by name counts; it is a problem in each of
 * them.
 */
export function mergeFiles(files: ReadonlyMap<string, FileState>): ManifestSnapshot {
  const places = new Map<string, PlacedObject[]>();
  const problems: Problem[] = [];
  for (const [, file] of [...files].sort(([a], [b]) => order(a, b))) {
    problems.push(...file.problems);
    for (const one of file.objects) {
      const others = places.get(one.key);
      if (others) others.push(one);
      else places.set(one.key, [one]);
    }
  }
  const objects: ManifestObject[] = [];
  for (const [key, written] of [...places].sort(([a], [b]) => order(a, b))) {
    const [first] = written;
    if (first) objects.push(first.object);
    if (written.length > 1) problems.push(...duplicates(key, written));
  }
  return { objects, problems };
}

function duplicates(key: string, written: readonly PlacedObject[]): Problem[] {
  const [first, ...rest] = written.map((one) => one.at);
  return [
    { object: key, at: first, message: `is written again at ${rest.join(", ")}; this one counts` },
    ...rest.map((at) => ({ object: key, at, message: `is written at ${first} already, which counts; remove one` })),
  ];
}
