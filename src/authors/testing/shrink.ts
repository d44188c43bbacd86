import type { RandomPass } from "./change.ts";

/**
 * A short sequence that still fails, found by leaving out passes, then changes within passes: ever smaller parts, until
 * nothing can be left out alone. @param fails must hold for `passes`
 */
export function shrunk(
  passes: readonly RandomPass[],
  fails: (passes: readonly RandomPass[]) => boolean,
): readonly RandomPass[] {
  const few = without(passes, fails);
  const single = few.flatMap(({ now, changes }) => changes.map((change) => ({ now, changes: [change] })));
  if (single.length > few.length && fails(single)) return without(single, fails);
  return few.reduce<readonly RandomPass[]>((kept, pass) => {
    const at = (changes: RandomPass["changes"]) => kept.map((one) => (one === pass ? { ...pass, changes } : one));
    const changes = without(pass.changes, (some) => fails(at(some)));
    return at(changes);
  }, few);
}

/** Leaves out ever smaller parts of a list while it still fails. */
function without<T>(list: readonly T[], fails: (list: readonly T[]) => boolean): readonly T[] {
  let kept = list;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (fails(fewer)) kept = fewer;
      else at += size;
    }
  }
  return kept;
}
