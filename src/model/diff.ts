export interface Difference<K, V> {
  set: [K, V][];
  remove: K[];
}

/** What must be set and removed so that `held` becomes `desired`. */
export function diff<K, V>(
  desired: ReadonlyMap<K, V>,
  held: ReadonlyMap<K, V>,
  equal: (a: V, b: V) => boolean,
): Difference<K, V> {
  const set: [K, V][] = [];
  for (const [key, value] of desired) {
    const now = held.get(key);
    if (now === undefined || !equal(value, now)) set.push([key, value]);
  }
  return { set, remove: [...held.keys()].filter((key) => !desired.has(key)) };
}
