/** Pseudo-random numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Chooses `count` items by a seed. Their order is random too, so that any first part of them is a sample. */
export function sampleOf<T>(items: readonly T[], count: number, seed: number): T[] {
  const left = [...items];
  const random = seeded(seed);
  const chosen: T[] = [];
  while (chosen.length < count && left.length > 0) {
    const at = Math.floor(random() * left.length);
    chosen.push(...left.splice(at, 1));
  }
  return chosen;
}
