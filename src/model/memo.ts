/**
 * A pure function that remembers, for each first argument, its last result while the other arguments are the same ones,
 * lists among them member by member.
 * One change of a pod then costs one pod: sources keep equal objects identical. Nothing outlives its first argument.
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

/**
 * A pure function that remembers its last result while its arguments are the same ones, lists among them member by member:
 * what a change does not concern is not worked out again.
 */
export function latest<A extends readonly unknown[], R>(compute: (...args: A) => R): (...args: A) => R {
  let last: { args: A; result: R } | undefined;
  return (...args) => {
    if (last && args.every((arg, index) => isSame(arg, last?.args[index]))) return last.result;
    const result = compute(...args);
    last = { args, result };
    return result;
  };
}

/** A pure function of a list that remembers its result for each sequence of members, as long as they live. */
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
