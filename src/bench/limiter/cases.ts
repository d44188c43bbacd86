import { join } from "node:path";
import type { BenchContext } from "../context.ts";
import { type Finding, publish } from "../report.ts";
import { killStarted } from "../weir.ts";
import { Bed } from "./bed.ts";
import { Results } from "./results.ts";
import { sampleOf } from "./sample.ts";

/** A measurement with many cases in one lab. */
export interface Cases<Case, Result extends { name: string }> {
  /** Name of the files. */
  name: string;
  title: string;
  cases: readonly Case[];
  /** Cases of `--quick`. */
  few: number;
  /** A case's name, which is also its key. */
  nameOf(one: Case): string;
  run(bed: Bed, one: Case, before: readonly Result[]): Promise<Result>;
  judge(result: Result): readonly Finding[];
  notes?: readonly string[];
  /** Folder of users' programs that the lab's agents may run. */
  programs?: string | undefined;
}

const SEED = 9;

/** Runs the cases that `--only` and `--sample` choose, except those of earlier runs; publishes the results of all chosen ones. */
export async function runCases<Case, Result extends { name: string }>(
  { name, title, cases, few, nameOf, run, judge, notes, programs }: Cases<Case, Result>,
  context: BenchContext,
): Promise<readonly Finding[]> {
  const { out, quick, say, signal, only = [], sample = quick ? few : cases.length } = context;
  const matching = cases.filter((one) => only.every((word) => nameOf(one).split(" ").includes(word)));
  if (matching.length === 0) throw new Error(`measure ${name}: no case has all of ${only.join(", ")}`);
  const chosen = sample < matching.length ? sampleOf(matching, sample, SEED) : matching;
  const files = quick ? `${name}-quick` : name;
  const results = new Results<Result>(join(out, `${files}.jsonl`));
  const missing = chosen.filter((one) => !results.get(nameOf(one)));
  say(`${chosen.length} cases, ${chosen.length - missing.length} done before (${results.file})`);
  if (missing.length > 0) {
    const bed = await Bed.up(context, programs);
    try {
      for (const [i, one] of missing.entries()) {
        signal.throwIfAborted();
        const result = await run(bed, one, results.all());
        results.add(result);
        for (const { what, measured, verdict } of judge(result)) {
          say(`${i + 1}/${missing.length} ${what}: ${measured}: ${verdict}`);
        }
      }
    } finally {
      killStarted();
      await bed.down();
    }
  }
  const samples = chosen.flatMap((one) => results.get(nameOf(one)) ?? []);
  const findings = samples.flatMap(judge);
  await publish({ name: files, title, findings, samples, notes }, context);
  return findings;
}
