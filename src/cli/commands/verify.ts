import type { Command } from "commander";
import type { Client } from "../../api/client.ts";
import type { Items } from "../../api/schemas.ts";
import { judgeLoss, judgeRate, type Verdict } from "../../model/proof.ts";
import { type AgentFlags, agentOf, chooseAgents } from "../agents.ts";
import { Failure } from "../errors.ts";
import { setExitCode } from "../exit.ts";
import { formatInterval, formatRate, formatShare } from "../format.ts";
import type { Io } from "../io.ts";
import { print } from "../print.ts";
import { type Column, printTable } from "../table.ts";
import { duration, output, withAgents } from "./options.ts";

interface Flags extends AgentFlags {
  namespace: string;
  for: number;
  output: "table" | "json" | "yaml";
}

/** What was measured of one rule. Shares are 0 to 1, rates bit/s. */
interface Proof {
  kind: "limit" | "impairment";
  direction: string | null;
  source: string;
  rule: string;
  unit: "share" | "bit/s";
  expected: number | null;
  measured: number | null;
  /** Exact interval of 99.9 %. */
  low: number | null;
  high: number | null;
  packets: number | null;
  verdict: Verdict;
  reason: string | null;
}

export function addVerify(program: Command, io: Io): void {
  withAgents(program.command("verify").summary("prove by measuring that a pod's rules hold"))
    .description(
      "Watch a pod's own traffic and judge each of its rules by it. Sends no traffic: what none passes through stays open. Exit code 0: all proven.",
    )
    .argument("<pod>", "the pod's name")
    .option("-n, --namespace <namespace>", "the pod's namespace", "default")
    .option("--for <duration>", "how long to watch", duration, 5000)
    .addOption(output("table", "json", "yaml"))
    .action(async (pod: string, flags: Flags) => setExitCode(program, await verify(io, pod, flags)));
}

async function verify(io: Io, pod: string, flags: Flags): Promise<number> {
  const { namespace } = flags;
  const what = `verify ${namespace}/${pod}`;
  const { client } = await agentOf(io, await chooseAgents(io, flags), { what, namespace, pod });
  const own = (one: { namespace: string; pod: string }): boolean => one.namespace === namespace && one.pod === pod;
  const before = (await client.list("impairments")).filter(own);
  await io.sleep(flags.for);
  const proofs = await read(client, own, before);
  if (proofs.length === 0) throw new Failure(`${what}: it has no rules`);
  const proven = proofs.every(({ verdict }) => verdict === "proven");
  if (flags.output === "table") await printTable(io, columns, proofs);
  else await print(io, flags.output, { namespace, pod, seconds: flags.for / 1000, proven, items: proofs });
  return proven ? 0 : 1;
}

type Own = (one: { namespace: string; pod: string }) => boolean;

async function read(client: Client, own: Own, before: readonly Items["impairments"][]): Promise<Proof[]> {
  const [limits, impairments] = await Promise.all([client.list("limits"), client.list("impairments")]);
  return [
    ...limits.filter(own).map(limitProof),
    ...impairments.filter(own).map((now) => impairmentProof(now, before.find(same(now)))),
  ];
}

const same = (a: Items["impairments"]) => (b: Items["impairments"]) =>
  a.source === b.source && a.direction === b.direction;

function limitProof(limit: Items["limits"]): Proof {
  const { direction, source, written, configured, effective, measured, reason } = limit;
  const judged =
    configured === null || effective !== configured
      ? { verdict: "refuted" as const, reason: reason ?? "it is not in force" }
      : judgeRate(measured, configured);
  const nothing = { low: null, high: null, packets: null };
  const what = { kind: "limit" as const, direction, source, rule: written, unit: "bit/s" as const };
  return { ...what, expected: configured, measured, ...nothing, ...judged };
}

function impairmentProof(now: Items["impairments"], before: Items["impairments"] | undefined): Proof {
  const { direction, source, configured, expectedLoss, state, reason } = now;
  // Counters that were set anew since count from zero.
  const since = before && before.packets <= now.packets && before.lost <= now.lost ? before : undefined;
  const packets = now.packets - (since?.packets ?? 0);
  const lost = now.lost - (since?.lost ?? 0);
  const what = { kind: "impairment" as const, direction, source, rule: configured, unit: "share" as const };
  const measured = packets > 0 ? lost / packets : null;
  const open = (why: string) => ({ verdict: "open" as const, reason: why });
  const common = { ...what, expected: expectedLoss, measured, low: null, high: null, packets };
  if (state !== "active") return { ...common, verdict: "refuted", reason: reason ?? state };
  if (expectedLoss === null) return { ...common, ...open("it sets no loss, and others are counted, not judged") };
  // Losses in bursts are not independent of each other: the interval would be too narrow.
  if (/loss burst/.test(configured)) return { ...common, ...open("losses in bursts are counted, not judged") };
  const { low, high, ...judged } = judgeLoss(lost, packets, expectedLoss);
  return { ...common, low, high, ...judged };
}

const shown = (unit: Proof["unit"], value: number | null): string =>
  unit === "share" ? formatShare(value) : formatRate(value);

const columns: readonly Column<Proof>[] = [
  { title: "RULE", value: ({ kind, rule }) => `${kind}: ${rule}` },
  { title: "DIRECTION", value: ({ direction }) => direction ?? "-" },
  { title: "EXPECTED", value: ({ unit, expected }) => shown(unit, expected), number: true },
  { title: "MEASURED", value: ({ unit, measured }) => shown(unit, measured), number: true },
  { title: "99.9 %", value: ({ low, high }) => formatInterval(low, high) },
  { title: "PACKETS", value: ({ packets }) => packets ?? "-", number: true },
  {
    title: "VERDICT",
    value: ({ verdict }) => verdict,
    colour: ({ verdict }) => (verdict === "proven" ? "green" : verdict === "refuted" ? "red" : "yellow"),
  },
  { title: "REASON", value: ({ reason }) => reason ?? "-" },
];
