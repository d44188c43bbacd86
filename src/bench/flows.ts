import { median } from "simple-statistics";
import type { BenchContext } from "./context.ts";
import { type Burst, Bursts } from "./flow-burst.ts";
import { objectsFolder } from "./objects.ts";
import { type Finding, publish } from "./report.ts";

const BUCKETS = 4096;
const ROWS = BUCKETS * 32;
/** A number of flows at which no bucket is full. */
const MANY = (ROWS * 3) / 8;
const HOUR = 29_000;
const TCP = 6;

/** One kind of work, and the contents of the table that it needs. */
interface Case {
  what: string;
  program?: "weir_track_burst" | "weir_hash_burst" | "weir_lru_burst";
  /** Bursts of inserts that fill the table before. */
  before?: Burst[];
  burst: Burst;
  /** Number of runs, if each flow must be new. */
  runs?: number;
  /** Expected result of each run; undefined if it varies, since some flows have been evicted. */
  each?: "found" | "opened";
  threads?: 2;
}

const put = (flows: number, more: Partial<Burst> = {}): Burst => ({ work: "insert", flows, ...more });
const find = (flows: number, work: Burst["work"] = "find", more: Partial<Burst> = {}): Burst => ({
  work,
  flows,
  ...more,
});

const CASES: readonly Case[] = [
  ...[1, 1000, MANY].flatMap((flows): Case[] => [
    { what: `find, ${flows} flows`, before: [put(flows)], burst: find(flows), each: "found" },
    { what: `find by the answer, ${flows} flows`, before: [put(flows)], burst: find(flows, "answer"), each: "found" },
    {
      what: `find and see a TCP segment, ${flows} flows`,
      before: [put(flows, { protocol: TCP })],
      burst: find(flows, "see", { protocol: TCP }),
      each: "found",
    },
    {
      what: `find by the answer, translated, ${flows / (flows === MANY ? 2 : 1)} flows`,
      before: [put(flows / (flows === MANY ? 2 : 1), { translate: 8080 })],
      burst: find(flows / (flows === MANY ? 2 : 1), "answer", { translate: 8080 }),
      each: "found",
    },
  ]),
  { what: "find nothing, 3/8 full", before: [put(MANY)], burst: find(MANY, "find", { next: MANY, flows: ROWS * 8 }) },
  { what: "open, empty table", burst: put(ROWS * 8), runs: MANY / 2, each: "opened" },
  { what: "open, 3/8 full", before: [put(MANY)], burst: put(ROWS * 8, { next: MANY }), runs: MANY / 4, each: "opened" },
  { what: "open, translated", burst: put(ROWS * 8, { translate: 8080 }), runs: MANY / 4, each: "opened" },
  {
    what: "open, full of expired flows",
    before: [put(ROWS * 2)],
    burst: put(ROWS * 8, { next: ROWS * 2, later: HOUR }),
    runs: MANY / 2,
    each: "opened",
  },
  {
    what: "open, full of the owner's flows",
    before: [put(ROWS * 2)],
    burst: put(ROWS * 8, { next: ROWS * 2 }),
    each: "opened",
  },
  {
    what: "open, full of 4 owners' flows",
    before: [put(ROWS * 2, { owners: 4 })],
    burst: put(ROWS * 8, { next: ROWS * 2, owners: 4 }),
    each: "opened",
  },
  {
    what: "open, full of another owner's flows",
    before: [put(ROWS * 2)],
    burst: put(ROWS * 8, { next: ROWS * 2, owner: 2 }),
    runs: BUCKETS * 4,
    each: "opened",
  },
  { what: `find, ${MANY} flows, 2 threads`, before: [put(MANY)], burst: find(MANY), each: "found", threads: 2 },
  {
    what: "see a TCP segment of the same flow, 2 threads",
    before: [put(1, { protocol: TCP })],
    burst: find(1, "see", { protocol: TCP }),
    each: "found",
    threads: 2,
  },
  {
    what: "open, full of the owner's flows, 2 threads",
    before: [put(ROWS * 2)],
    burst: put(ROWS * 8, { next: ROWS * 2 }),
    threads: 2,
  },
  ...(["hash", "lru"] as const).flatMap((kind): Case[] => {
    const program = `weir_${kind}_burst` as const;
    return [
      ...[1, 1000, MANY].map(
        (flows): Case => ({
          ...{
            what: `find, ${flows} flows, ${kind} map`,
            program,
            before: [put(flows)],
            burst: find(flows),
            each: "found",
          },
        }),
      ),
      { what: `insert, empty, ${kind} map`, program, burst: put(ROWS * 8), runs: MANY / 2, each: "opened" },
    ];
  }),
  {
    what: "insert, full, lru map",
    program: "weir_lru_burst",
    before: [put(ROWS * 2)],
    burst: put(ROWS * 8, { next: ROWS * 2 }),
    each: "opened",
  },
];

interface Sample {
  what: string;
  ns: number[];
}

/** Cost of each operation of the flow table, ns, compared with the kernel's hash maps with the same keys and rows. */
export async function flows(context: BenchContext): Promise<readonly Finding[]> {
  const rounds = context.quick ? 1 : 7;
  const samples: Sample[] = [];
  for (const one of CASES) {
    context.say(one.what);
    const ns: number[] = [];
    for (let round = 0; round < rounds; round++) {
      ns.push(await measure(one, context));
      context.signal.throwIfAborted();
    }
    samples.push({ what: one.what, ns });
  }
  const findings = samples.map(({ what, ns }): Finding => {
    const [low, high] = [Math.min(...ns), Math.max(...ns)];
    return { what, measured: `${median(ns)} ns (${low} to ${high})`, target: "–", verdict: "shown" };
  });
  const notes = [
    `A table of ${BUCKETS} buckets, ${ROWS} rows of 192 bytes, in a bucket of 6,464 bytes: ${((BUCKETS * 6464) / 2 ** 20).toFixed(1)} MiB.`,
    "ns of BPF_PROG_TEST_RUN, less those of a run that only makes the flow's tuple; a mean of one run's many, median of the rounds.",
    "Flows come one after another: with 1 all is in the first cache, with 3/8 of the table's rows little is in any.",
  ];
  await publish({ name: "flows", title: "Cost of the flow table", findings, samples, notes }, context);
  return findings;
}

/** ns of one case in a table of its own, minus the same run's cost without the operation. */
async function measure(
  { program = "weir_track_burst", before = [], burst, runs, each, threads }: Case,
  context: BenchContext,
): Promise<number> {
  const own = program === "weir_track_burst";
  const bursts = new Bursts(objectsFolder(context), own ? "track" : "hashes", own ? BUCKETS : undefined);
  const times = runs ?? (context.quick ? 20_000 : 500_000);
  try {
    for (const first of before) {
      bursts.prepare(first);
      bursts.run(program, first.flows);
    }
    const base = new Bursts(objectsFolder(context), "track", 2);
    base.prepare({ ...burst, work: "nothing" });
    const nothing = base.run("weir_track_burst", times);
    base.close();
    const numbers = threads === 2 ? [0, 1] : [0];
    for (const thread of numbers) bursts.prepare({ ...burst, next: (burst.next ?? 0) + thread * (times + 17) }, thread);
    const taken = await Promise.all(
      numbers.map((thread) =>
        threads ? bursts.runBeside(program, times, thread) : bursts.run(program, times, thread),
      ),
    );
    for (const thread of numbers) if (each) bursts.expect(each, times, thread);
    return Math.max(...taken) - nothing;
  } finally {
    bursts.close();
  }
}
