import { setImmediate } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { type PropertyResult, planningProperty, showPasses } from "../authors/testing/property.ts";
import type { BenchContext } from "./context.ts";
import { type Finding, judge, publish } from "./report.ts";

const CHANGES = 1_000_000;
const QUICK = 10_000;
/** Changes of one sequence, which begins with an empty cluster. */
const SEQUENCE = 10_000;

/** Random sequences of changes: incremental planning equals planning from nothing after every pass. */
export async function planning(context: BenchContext): Promise<readonly Finding[]> {
  const all = context.changes ?? (context.quick ? QUICK : CHANGES);
  const kinds = new Map<string, number>();
  let [made, passes, comparisons, seed] = [0, 0, 0, 0];
  let failure: PropertyResult["failure"];
  while (made < all && !failure) {
    seed++;
    const changes = Math.min(SEQUENCE, all - made);
    const result = planningProperty({ seed, changes, every: 1 });
    for (const [kind, count] of result.kinds) kinds.set(kind, (kinds.get(kind) ?? 0) + count);
    made += changes;
    passes += result.passes;
    comparisons += result.comparisons;
    failure = result.failure;
    context.say(`seed ${seed}: ${made} of ${all} changes, compared ${comparisons} times`);
    await setImmediate();
    context.signal.throwIfAborted();
  }
  if (failure) context.write(`seed ${seed} ends in a difference:\n${showPasses(failure.passes)}\n${textOf(failure)}\n`);
  const counts = [...kinds].sort(([a], [b]) => (a < b ? -1 : 1));
  const findings = [
    judge("sequences that end in a difference", failure ? `seed ${seed}` : "0", "0", failure === undefined),
    shown("changes", `${made} in ${passes} passes, seeds 1 to ${seed}`),
    shown("comparisons", `${comparisons}`),
    ...counts.map(([kind, count]) => shown(kind, `${count}`)),
  ];
  const title = "Planning change by change beside planning from nothing";
  await publish({ name: "planning", title, findings, samples: Object.fromEntries(counts) }, context);
  return findings;
}

const shown = (what: string, measured: string): Finding => ({ what, measured, target: "–", verdict: "shown" });

/** The differing parts. */
function textOf({ difference }: NonNullable<PropertyResult["failure"]>): string {
  if (difference instanceof Error) return difference.stack ?? difference.message;
  const [one, other] = [difference.byChange, difference.fromNothing] as Record<string, unknown>[];
  const parts = Object.keys(one ?? {}).filter((part) => !isDeepStrictEqual(one?.[part], other?.[part]));
  return parts
    .map((part) => `${part} by change: ${text(one?.[part])}\n${part} from nothing: ${text(other?.[part])}`)
    .join("\n");
}

const text = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? Number(one) : one));
