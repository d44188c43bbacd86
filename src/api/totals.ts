import type { Sample } from "./metric-families.ts";

interface Series {
  labels: Sample["labels"];
  /** Of parts that are gone, or were counted anew. */
  kept: number;
  /** What each part that is there has counted. */
  parts: Map<string, number>;
}

/**
 * Counters of one name, whose parts come and go: what a part counted before it went, or began anew, stays in the sum. So
 * a series never falls while its pod is there, and one with parts stays for as long.
 */
export class Totals {
  #series = new Map<string, Series>();

  /** Takes what is counted now; the sums by labels. `isThere`: whether the labels' pod is on the node. */
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
