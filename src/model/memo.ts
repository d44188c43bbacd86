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
