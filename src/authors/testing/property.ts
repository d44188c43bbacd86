import { randomOf } from "../../model/testing/random.ts";
import { kindOf, type RandomPass } from "./change.ts";
import { type Comparison, Subject } from "./compare.ts";
import { randomPasses } from "./random.ts";
import { shrunk } from "./shrink.ts";

export interface PropertyOptions {
  seed: number;
  changes: number;
  /** Passes from one comparison to the next. */
  every: number;
}

/** What one sequence of changes came to. */
export interface PropertyResult {
  passes: number;
  comparisons: number;
  /** Changes that were made, by kind. */
  kinds: ReadonlyMap<string, number>;
  /** The shortest passes known that end in it. */
  failure?: { passes: readonly RandomPass[]; difference: Comparison | Error } | undefined;
}

/**
 * Plans a random sequence of changes, and compares with planning from nothing every few passes and at the end. Stops
 * at the first difference, and looks for the shortest sequence that has one.
 */
export function planningProperty({ seed, changes, every }: PropertyOptions): PropertyResult {
  const kinds = new Map<string, number>();
  const done: RandomPass[] = [];
  const subject = new Subject();
  let [comparisons, made] = [0, 0];
  for (const pass of randomPasses(randomOf(seed), changes)) {
    done.push(pass);
    made += pass.changes.length;
    for (const kind of pass.changes.map(kindOf)) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const isCompared = done.length % every === 0 || made === changes;
    if (isCompared) comparisons++;
    if (stepDifference(subject, pass, isCompared)) {
      const passes = shrunk(done, (some) => differenceAfter(some) !== undefined);
      const failure = { passes, difference: differenceAfter(passes) as Comparison | Error };
      return { passes: done.length, comparisons, kinds, failure };
    }
  }
  return { passes: done.length, comparisons, kinds };
}

/** The difference that these passes end in. */
export function differenceAfter(passes: readonly RandomPass[]): Comparison | Error | undefined {
  const subject = new Subject();
  for (const [index, pass] of passes.entries()) {
    const found = stepDifference(subject, pass, index === passes.length - 1);
    if (found) return found;
  }
  return undefined;
}

/** A sequence as text, to read and to keep as a test. */
export const showPasses = (passes: readonly RandomPass[]): string =>
  passes.map((pass) => JSON.stringify(pass, withoutBigints)).join("\n");

const withoutBigints = (_: string, value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);

function stepDifference(subject: Subject, pass: RandomPass, isCompared: boolean): Comparison | Error | undefined {
  try {
    subject.pass(pass);
    return isCompared ? subject.compare(pass.now, pass.now + pass.changes.length) : undefined;
  } catch (error) {
    return error as Error;
  }
}
