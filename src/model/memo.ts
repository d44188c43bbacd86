/**
 * Memoizes a pure function per first argument: the last result is kept while the other arguments are identical (lists:
 * member by member). Sources keep the identity of equal objects, so a change of one pod only costs that pod. Entries do
 * not outlive their first argument.
 */
export function memo<K extends object, A extends readonly unknown[], R>(
  compute: (key: K, ...rest: A) => R,
): (key: K, ...rest: A) => R {
  const known = new WeakMap<K, { rest: A; result: R }>();
  return (key, ...rest) => {
    const hit = known.get(key);
    if (hit?.rest.every((one, index) => isSame(one, rest[index]))) return hit.result;
    const result = compute(key, ...rest);
    known.set(key, { rest, result });
    return result;
  };
}

/** Memoizes the last result of a pure function while its arguments are identical (lists: member by member). */
export function latest<A extends readonly unknown[], R>(compute: (...args: A) => R): (...args: A) => R {
  let last: { args: A; result: R } | undefined;
  return (...args) => {
    if (last && args.every((arg, index) => isSame(arg, last?.args[index]))) return last.result;
    const result = compute(...args);
    last = { args, result };
    return result;
  };
}

/** Memoizes a pure function of a list for each sequence of members, as long as they exist. */
export function memoMembers<T extends object, R>(compute: (list: readonly T[]) => R): (list: readonly T[]) => R {
  interface Known {
    next: WeakMap<T, Known>;
    result?: { value: R };
  }
  const root: Known = { next: new WeakMap() };
  return (list) => {
    let known = root;
    for (const member of list) {
      const next: Known = known.next.get(member) ?? { next: new WeakMap() };
      known.next.set(member, next);
      known = next;
    }
    known.result ??= { value: compute(list) };
    return known.result.value;
  };
}

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (!Array.isArray(a) || !Array.isArray(b)) return false;
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
