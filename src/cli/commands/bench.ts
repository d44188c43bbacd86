import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { setExitCode } from "../exit.ts";
import type { Io } from "../io.ts";
import type { BenchName, Modules } from "../modules.ts";

const benches: readonly [BenchName, string][] = [
  ["all", "Run every measurement."],
  ["limits", "Measure the exactness of bandwidth limits, compared with a tbf qdisc and a plain token bucket."],
  ["matrix", "Measure limits at every rate under every load; takes hours; continues where the last run ended."],
  ["loss", "Compare measured losses, bursts and seeds with the configured ones; continues where the last run ended."],
  ["repeat", "Run a rule of 0.001 % loss 100,000,000 times in the kernel, with an exact test, and measure its time."],
  ["live", "Measure the time until an edited annotation takes effect, and losses of other pods' flows."],
  ["survive", "Kill agents under load and count lost packets."],
  ["forward", "Measure forwarding: throughput compared with a Linux bridge, the cost of a hop and of each function."],
  [
    "flows",
    "Measure the flow table: ns to find and to open flows, in empty and full tables, compared with the kernel's maps.",
  ],
  ["planning", "Compare incremental planning with planning from nothing, over a million random changes."],
  [
    "steps",
    "Change limits under load: every pair of rates under every load; takes hours; continues where the last run ended.",
  ],
  [
    "changes",
    "Measure traffic while impairments and programs are added, changed and removed; continues where the last run ended.",
  ],
  ["shares", "Measure how flows share a limit, and the effect of ECN; continues where the last run ended."],
  ["queue", "Measure the waiting time in a limit's queue, and of sparse traffic; continues where the last run ended."],
  ["order", "Measure order and fragments under a limit; continues where the last run ended."],
  ["sizes", "Measure limits of packets of every size; continues where the last run ended."],
  ["many", "Measure the time until an edit is in force on a node with 200 limited pods, and the agent's memory."],
  ["cpu", "Measure the CPU time per packet under a limit, compared with another build."],
  ["pairs", "Compare cases of the matrix with another build, alternately; continues where the last run ended."],
  [
    "scale",
    "Measure an agent at scale: CPU time of one change, start, memory, idle CPU time; continues where the last run ended.",
  ],
  ["footprint", "Measure memory, CPU and start-up times."],
];

/** Measurements with so many cases that they can be sampled. */
const SAMPLED: readonly BenchName[] = ["steps", "changes", "shares", "queue", "order", "sizes", "pairs"];

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= 3 && seconds <= 3600) return seconds;
  throw new InvalidArgumentError("whole seconds from 3 to 3600");
}

function parsePackets(text: string): number {
  const packets = Number(text);
  if (Number.isInteger(packets) && packets >= 1000 && packets <= 1e9) return packets;
  throw new InvalidArgumentError("a whole number from 1000 to 1000000000");
}

function parsePods(text: string): number {
  const pods = Number(text);
  if (Number.isInteger(pods) && pods >= 40 && pods <= 1000) return pods;
  throw new InvalidArgumentError("a whole number from 40 to 1000");
}

function parseChanges(text: string): number {
  const changes = Number(text);
  if (Number.isInteger(changes) && changes >= 6 && changes <= 100_000) return changes;
  throw new InvalidArgumentError("a whole number from 6 to 100000");
}

function parseManyChanges(text: string): number {
  const changes = Number(text);
  if (Number.isInteger(changes) && changes >= 1000 && changes <= 1e9) return changes;
  throw new InvalidArgumentError("a whole number from 1000 to 1000000000");
}

function parseSample(text: string): number {
  const cases = Number(text);
  if (Number.isInteger(cases) && cases >= 1) return cases;
  throw new InvalidArgumentError("a whole number from 1");
}

/** Words that a case's name must contain: `10M ingress ipv6`. */
const parseWords = (text: string): string[] => text.split(/\s+/).filter(Boolean);

export function addBench(program: Command, io: Io, load: Modules["bench"]): void {
  const bench = program
    .command("bench")
    .summary("measure limits, forwarding and footprint")
    .description("Measure, and write figures with their raw samples.");
  for (const [what, description] of benches) {
    const command = bench
      .command(what)
      .description(description)
      .option("--out <dir>", "where results go", "bench-results")
      .option("--quick", "short runs that only show that the measurement works; their figures are not reliable", false)
      .option("--weir <path>", "measure another build's bin/weir")
      .action(async ({ out, quick, weir, ...rest }) => {
        const module = await load();
        const build = weir === undefined ? {} : { weir: resolve(io.cwd, weir) };
        const options = { what, out: resolve(io.cwd, out), quick, ...build, ...rest };
        setExitCode(bench, await module.bench(options, io));
      });
    addOwnOptions(command, what, io.cwd);
  }
}

/** Examples of values of `--only`. */
const WORDS: Partial<Record<BenchName, string>> = {
  forward: "cost",
  matrix: "10M ingress udp",
  pairs: "10M ingress udp",
  loss: "burst across ipv6",
  steps: "80M→20M ingress cubic×8",
  changes: "loss 100M ingress cubic×8",
  shares: "fair 10M",
  queue: "1M udp×1",
  order: "10M egress 3000",
  sizes: "100M ingress 64",
  scale: "cluster nodes",
};

/** Adds the options that only some measurements have. */
function addOwnOptions(command: Command, what: BenchName, cwd: string): void {
  const words = WORDS[what];
  if (words) command.option("--only <words>", `cases with all of these words, e.g. "${words}"`, parseWords);
  if (SAMPLED.includes(what)) {
    const of = what === "pairs" ? "the cases of each rate" : "the cases";
    command.option("--sample <n>", `the number of ${of} to run, chosen by a fixed seed`, parseSample);
  }
  const atBuild = (path: string): string => resolve(cwd, path);
  const against = (): Command => command.requiredOption("--against <path>", "the other build's bin/weir", atBuild);
  const lasting = (what: string): Command => command.option("--seconds <n>", `length of one ${what}`, parseSeconds);
  const options: Partial<Record<BenchName, () => Command>> = {
    limits: () => lasting("run (60: as published)"),
    matrix: () => lasting("case (30)"),
    loss: () => command.option("--packets <n>", "datagrams per case (100000: as published)", parsePackets),
    repeat: () => command.option("--packets <n>", "runs, whole millions (100000000)", parsePackets),
    footprint: () => command.option("--pods <n>", "instead: this number of pods, each with rules", parsePods),
    planning: () => command.option("--changes <n>", "together (1000000)", parseManyChanges),
    many: () => command.option("--pods <n>", "number of pods (200)", parsePods),
    cpu: against,
    pairs: () => lasting("run (10)") && against(),
    forward: () =>
      command.option("--against <path>", "another build's bin/weir, to compare the cost of a packet", atBuild),
    scale: () =>
      command
        .option("--against <path>", "another build's bin/weir to compare with", atBuild)
        .option("--changes <n>", "changes of each kind and build (102: as published)", parseChanges)
        .option("--profile", "show the functions in which the agent spends its time; slower"),
  };
  options[what]?.();
}
