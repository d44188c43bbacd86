import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../context.ts";
import { softnetDrops } from "../continuity.ts";
import { type Counters, since } from "../counters.ts";
import { monotonic } from "../meter.ts";
import type { Finding } from "../report.ts";
import { ofTree } from "../tree.ts";
import type { Bed, Rule, Tally } from "./bed.ts";
import { runCases } from "./cases.ts";
import {
  AFTER,
  BEFORE,
  type Change,
  type ChangeResult,
  changeName,
  type Datagrams,
  type Edits,
  evaluateChange,
  type RuleName,
  VALUES,
} from "./change.ts";
import { judgeChange, needsAnew } from "./change-verdict.ts";
import { startLoad } from "./load.ts";
import { countersOf, Receipts } from "./receipts.ts";
import { rateIn } from "./watch.ts";

const LIMIT = 100e6;
const PLACES = [
  { where: "same", limit: LIMIT },
  { where: "same", limit: null },
  { where: "across", limit: LIMIT },
] as const;
const RULES = [
  { rule: "loss", how: "annotation", direction: "ingress" },
  { rule: "loss", how: "Impairment", direction: "egress" },
  { rule: "delay", how: "Impairment", direction: "ingress" },
  { rule: "delay", how: "Impairment", direction: "egress" },
  { rule: "drop-one-of", how: "annotation", direction: "ingress" },
  { rule: "drop-one-of", how: "annotation", direction: "egress" },
  { rule: "mark-dscp", how: "annotation", direction: "egress" },
] as const;
const LOADS = [
  { protocol: "tcp", congestion: "cubic", flows: 1 },
  { protocol: "tcp", congestion: "cubic", flows: 8 },
  { protocol: "tcp", congestion: "bbr", flows: 8 },
  { protocol: "udp", flows: 1 },
] as const;

/** Every rule, with and without a limit, on one node and across nodes, under every load. */
export function allChanges(): Change[] {
  return RULES.flatMap((rule) => PLACES.flatMap((place) => LOADS.map((load) => ({ ...rule, ...place, ...load }))));
}

/** Impairments and programs that are added, changed and removed under load. */
export async function changes(context: BenchContext): Promise<readonly Finding[]> {
  const programs = mkdtempSync(join(tmpdir(), "weir-bench-programs-"));
  cpSync(ofTree("examples/programs"), programs, { recursive: true });
  const cases = {
    name: "changes",
    title: "Impairments and programs that come, change and go under load",
    cases: allChanges(),
    few: 8,
    nameOf: changeName,
    run: runChange,
    judge: (result: ChangeResult) => [judgeChange(result)],
    programs,
  };
  try {
    return await runCases(cases, context);
  } finally {
    rmSync(programs, { recursive: true, force: true });
  }
}

/** A rule with one of its values, as annotations or object. */
export function ruleOf({ rule, how, direction }: Change, value: number, pod: string): Rule {
  const percent = `${Number((100 * value).toPrecision(6))}%`;
  const effects: Readonly<Record<RuleName, object>> = {
    loss: { loss: percent },
    delay: { delay: { latency: `${Math.round(1000 * value)}ms` } },
    "drop-one-of": { annotations: { "ebpf-limit": `drop-one-of ${direction} -DN=${value}` } },
    "mark-dscp": { annotations: { "ebpf-limit": `mark-dscp ${direction} -DDSCP=${value}` } },
  };
  if (how === "annotation") {
    return rule === "loss" ? { annotations: { loss: `uniform ${direction} ${percent}` } } : effects[rule];
  }
  const metadata = { name: "changing", namespace: "default" };
  const spec = { pod, direction, ...effects[rule] };
  return { object: { apiVersion: "weir.dev/v1alpha1", kind: "Impairment", metadata, spec } };
}

/** From a load's start to the first edit, and from one edit to the next, ms. */
const SETTLE = 1000 + BEFORE;
const HOLD = 3500;
/** Time in which packets that are still on their way arrive, ms. */
const DRAIN = 500;
/** Offered rate of a UDP sender: times the limit, or bit/s without a limit. */
const OFFERED = { times: 1.2, free: 60e6 };
const offered = ({ limit }: Change): number => (limit === null ? OFFERED.free : OFFERED.times * limit);

async function runChange(bed: Bed, one: Change): Promise<ChangeResult> {
  const { direction, where, limit, rule, protocol } = one;
  await bed.set(direction, limit);
  const path = bed.path(direction, where);
  const before = protocol === "udp" ? await Account.open(bed, one) : undefined;
  const load = await startLoad(path, one, offered(one));
  const watch = bed.watch(direction, path.to);
  const receipts = new Receipts(bed, one);
  await sleep(SETTLE);
  const edit = async (value: number | null, span: number): Promise<number> => {
    const at = monotonic();
    bed.writeRule(value === null ? null : ruleOf(one, value, bed.name));
    await sleep(span);
    return at;
  };
  const [first, second] = VALUES[rule];
  const edits: Edits = { came: await edit(first, HOLD), changed: await edit(second, HOLD), gone: 0 };
  edits.gone = await edit(null, AFTER[protocol].end + 200);
  const [readings, glimpses] = [await watch.stop(), await receipts.stop()];
  const pauses = await load.stop(readings);
  const datagrams = before ? await before.close() : null;
  const result = evaluateChange(one, { readings, glimpses, edits, pauses, datagrams });
  if (readings.at(-1)?.received === readings.at(-20)?.received) await bed.renew();
  return needsAnew(result) ? { ...result, anew: await measureAnew(bed, one) } : result;
}

/** Rate that the same load reaches without a rule, over an equally long span, bit/s. */
async function measureAnew(bed: Bed, one: Change): Promise<number> {
  const { direction, where, protocol } = one;
  const { start, end } = AFTER[protocol];
  const path = bed.path(direction, where);
  const load = await startLoad(path, one, offered(one));
  await sleep(SETTLE);
  const watch = bed.watch(direction, path.to);
  await sleep(end - start);
  const readings = await watch.stop();
  await load.stop(readings);
  return rateIn(readings, "received", [{ start: 0, end: monotonic() }]) ?? 0;
}

/** Where a rule or a limit drops a packet on purpose. */
const OWN_REASONS = ["impaired", "custom", "rate_limit"];

/** Counts datagrams between two moments, from both pods' kernels and the node's counters. */
class Account {
  readonly #bed: Bed;
  readonly #change: Change;
  readonly #tally: Tally;
  readonly #from: Counters;
  readonly #to: Counters;
  readonly #backlog = softnetDrops();

  private constructor(bed: Bed, change: Change, tally: Tally) {
    this.#bed = bed;
    this.#change = change;
    this.#tally = tally;
    const { from, to } = bed.path(change.direction, change.where);
    [this.#from, this.#to] = [countersOf(from), countersOf(to)];
  }

  static async open(bed: Bed, change: Change): Promise<Account> {
    return new Account(bed, change, await bed.tally(change.direction));
  }

  async close(): Promise<Datagrams> {
    await sleep(DRAIN);
    const { direction, where } = this.#change;
    const { from, to } = this.#bed.path(direction, where);
    const tally = await this.#bed.tally(direction);
    const added = OWN_REASONS.map((reason) => (tally.dropped[reason] ?? 0) - (this.#tally.dropped[reason] ?? 0));
    return {
      sent: since(this.#from, countersOf(from)).udpOut,
      received: since(this.#to, countersOf(to)).udpArrived,
      dropped: added.reduce((sum, packets) => sum + packets, 0),
      lost: tally.lost - this.#tally.lost,
      queued: tally.queued, // what waited before was an earlier load's
      backlogDrops: softnetDrops() - this.#backlog,
    };
  }
}
