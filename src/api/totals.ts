import type { Sample } from "./metric-families.ts";

interface Series {
  labels: Sample["labels"];
  /** Sum of parts that were removed or reset. */
  kept: number;
  /** The last value of each existing part. */
  parts: Map<string, number>;
}

/**
 * Sums counters by labels. The last value of a part that was removed or reset stays in the sum, so
 * a series never decreases while its pod exists, and is reported as long as the pod exists.
 */
export class Totals {
  #series = new Map<string, Series>();

  /** Adds the current values and returns the sums by labels. @param isThere whether the labels' pod is on the node */
  update(samples: readonly Sample[], isThere: (labels: Sample["labels"]) => boolean): Sample[] {
    const before = this.#series;
    this.#series = new Map();
    for (const { labels, value, part = "" } of samples) {
      const key = JSON.stringify(labels);
      const series = this.#series.get(key) ?? { labels, kept: before.get(key)?.kept ?? 0, parts: new Map() };
      const last = before.get(key)?.parts.get(part) ?? 0;
      if (value < last) series.kept += last;
      series.parts.set(part, value);
      this.#series.set(key, series);
    }
    for (const [key, old] of before) this.#keepGone(key, old, isThere);
    return [...this.#series.values()].map(({ labels, kept, parts }) => ({
      labels,
      value: [...parts.values()].reduce((sum, value) => sum + value, kept),
    }));
  }

  #keepGone(key: string, old: Series, isThere: (labels: Sample["labels"]) => boolean): void {
    const lingers = !old.parts.has("") && isThere(old.labels);
    const series =
      this.#series.get(key) ?? (lingers ? { labels: old.labels, kept: old.kept, parts: new Map() } : undefined);
    if (!series) return;
    for (const [part, value] of old.parts) if (!series.parts.has(part)) series.kept += value;
    this.#series.set(key, series);
  }
}
