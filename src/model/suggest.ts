/** `did you mean pods?` if a known word is similar, else an empty text. */
export function suggestion(word: string, known: readonly string[]): string {
  const best = closest(word, known);
  return best === undefined ? "" : `did you mean ${best}?`;
}

/** The known word that is similar; undefined if none is. */
export function closest<T extends string>(word: string, known: readonly T[]): T | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, distance: distance(word.toLowerCase().slice(0, 64), candidate) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.distance - b.distance);
  return best?.candidate;
}

/** Number of edits between two words: insert, delete, replace, or swap of neighbours. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
