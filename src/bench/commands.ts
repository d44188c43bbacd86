import type { BenchContext } from "./context.ts";
import { requirePackages } from "./packages.ts";
import type { Finding } from "./report.ts";
import { ofTree } from "./tree.ts";

/** One measurement: publishes its report and returns its findings. Removes everything that it created, also on abort. */
export type Bench = (context: BenchContext) => Promise<readonly Finding[]>;

/** Measurements by name, each loaded when it runs. `all` runs them in this order, except those of `LONG`. */
export const benches = {
  limits: async () => (await import("./limits.ts")).limits,
  forward: async () => (await import("./forward.ts")).forward,
  flows: async () => (await import("./flows.ts")).flows,
  planning: async () => (await import("./planning.ts")).planning,
  loss: async () => (await import("./loss.ts")).loss,
  repeat: async () => (await import("./repeat.ts")).repeat,
  live: async () => (await import("./live.ts")).live,
  survive: async () => (await import("./survive.ts")).survive,
  footprint: async () => (await import("./footprint.ts")).footprint,
  matrix: async () => (await import("./matrix.ts")).matrix,
  steps: async () => (await import("./limiter/steps.ts")).steps,
  changes: async () => (await import("./limiter/changes.ts")).changes,
  shares: async () => (await import("./limiter/shares.ts")).shares,
  queue: async () => (await import("./limiter/queue.ts")).queue,
  order: async () => (await import("./limiter/order.ts")).order,
  sizes: async () => (await import("./limiter/sizes.ts")).sizes,
  many: async () => (await import("./limiter/many.ts")).many,
  cpu: async () => (await import("./limiter/cpu.ts")).cpu,
  pairs: async () => (await import("./limiter/pairs.ts")).pairs,
  scale: async () => (await import("./scale/scale.ts")).scale,
} as const satisfies Record<string, () => Promise<Bench>>;

/** Not run by `all`: they take hours, or need another build. */
const LONG: readonly string[] = ["matrix", "steps", "changes", "shares", "cpu", "pairs", "scale"];

export type BenchName = keyof typeof benches | "all";

interface BenchIo {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
  env: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
}

/** Exit code after Ctrl+C, as in shells. */
const INTERRUPTED = 130;

/** Runs one measurement, or all. A missed target is a result, not a failure: exit code 0. */
export async function bench(
  options: {
    what: BenchName;
    out: string;
    quick: boolean;
    seconds?: number | undefined;
    packets?: number | undefined;
    pods?: number | undefined;
    sample?: number | undefined;
    only?: readonly string[] | undefined;
    /** Another build's bin/weir, to be measured instead of this one's. It finds its own Node.js. */
    weir?: string | undefined;
    against?: string | undefined;
    changes?: number | undefined;
    profile?: boolean | undefined;
  },
  io: BenchIo,
  weir: readonly string[] = [options.weir ?? ofTree("bin/weir")],
): Promise<number> {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = io.env;
  const { what } = options;
  const known = Object.keys(benches) as (keyof typeof benches)[];
  const names = what === "all" ? known.filter((name) => !LONG.includes(name)) : known.filter((name) => name === what);
  if (names.length === 0) throw new Error(`measure ${what}: no such measurement (${known.join(", ")})`);
  requirePackages(what);
  for (const name of names) {
    const say = (line: string): void => void io.stderr.write(`${name}: ${line}\n`);
    const run = await benches[name]();
    const { out, quick, seconds, packets, pods, sample, only, against, changes, profile } = options;
    try {
      const write = (text: string): unknown => io.stdout.write(text);
      await run({
        weir,
        out,
        quick,
        seconds,
        packets,
        pods,
        sample,
        only,
        against,
        changes,
        profile,
        env,
        signal: io.signal,
        write,
        say,
      });
    } catch (error) {
      if (!io.signal.aborted) throw error;
    }
    if (io.signal.aborted) {
      say("interrupted; everything that it created has been removed");
      return INTERRUPTED;
    }
  }
  return 0;
}
