/**
 * A pure function that remembers, for each first argument, its last result while the other arguments are the same ones.
 * One change of a pod then costs one pod: sources keep equal objects identical. Nothing outlives its first argument.
 */
export function memo<K extends object, A extends readonly unknown[], R>(
  compute: (key: K, ...rest: A) => R,
): (key: K, ...rest: A) => R {
  const known = new WeakMap<K, { rest: A; result: R }>();
  return (key, ...rest) => {
    const hit = known.get(key);
    if (hit?.rest.every((one, index) => one === rest[index])) return hit.result;
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

function isSame(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
