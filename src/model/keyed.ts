import type { Direction } from "./directions.ts";
import { fieldPath } from "./names.ts";
import type { Metadata } from "./objects.ts";
import type { Problem } from "./problem.ts";
import type { Result } from "./text.ts";

/** A label or annotation key that is a rule. */
export interface RuleKey<T, S> {
  map: "annotations" | "labels";
  key: string;
  /** The setting that disables it; without one it is always read. */
  setting?: keyof S | undefined;
  parse(value: string, settings: S): Result<readonly T[]>;
}

/** Last valid rules by key. */
export type ByKey<T> = Readonly<Record<string, readonly T[]>>;

/**
 * Reads an object's rules, given its last valid ones. Removing a key removes its rules; an invalid value is a problem,
 * and the key's last valid rules stay in force. @param describe names the rules that stay
 */
export function readKeys<T, S>(
  keys: readonly RuleKey<T, S>[],
  { object, metadata, before, settings }: { object: string; metadata: Metadata; before: ByKey<T>; settings: S },
  describe: (kept: readonly T[] | undefined) => string,
): { byKey: Record<string, readonly T[]>; problems: Problem[] } {
  const byKey: Record<string, readonly T[]> = {};
  const problems: Problem[] = [];
  for (const rule of keys) {
    if (rule.setting !== undefined && !settings[rule.setting]) continue;
    const written = metadata[rule.map];
    if (!Object.hasOwn(written, rule.key)) continue;
    const parsed = rule.parse(written[rule.key] as string, settings);
    if (parsed.ok) {
      byKey[rule.key] = parsed.value;
      continue;
    }
    const kept = Object.hasOwn(before, rule.key) ? before[rule.key] : undefined;
    if (kept) byKey[rule.key] = kept;
    const { map, key } = rule;
    const message = `${parsed.reason}; ${describe(kept)}`;
    problems.push({ object, path: fieldPath(map, key), invalidKey: { map, key }, message });
  }
  return { byKey, problems };
}

/** A rule with its key. */
export interface Keyed<T> {
  key: string;
  map: "annotations" | "labels";
  rule: T;
}

/** The rules of all keys, in the order of `keys`: that of precedence, highest first. */
export function byPrecedence<T>(keys: readonly Pick<RuleKey<T, never>, "key" | "map">[], byKey: ByKey<T>): Keyed<T>[] {
  return keys.flatMap(({ key, map }) => (byKey[key] ?? []).map((rule) => ({ key, map, rule })));
}

/** The rules that count: of two with the same direction the first. */
export function firstOfDirection<T extends { direction: Direction }>(rules: readonly Keyed<T>[]): Keyed<T>[] {
  return rules.filter(
    ({ rule }, index) => rules.findIndex(({ rule: { direction } }) => direction === rule.direction) === index,
  );
}
