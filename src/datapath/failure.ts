/** Something that could not be made real; it is tried again. */
export interface Failure {
  object: string;
  message: string;
}

/** Does the work for each item by itself: one that fails stops no other. */
export function each<T extends { device: string }>(items: readonly T[], work: (item: T) => void): Failure[] {
  const failures: Failure[] = [];
  for (const item of items) {
    try {
      work(item);
    } catch (error) {
      failures.push({ object: `device ${item.device}`, message: (error as Error).message });
    }
  }
  return failures;
}
