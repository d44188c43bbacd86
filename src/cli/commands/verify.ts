import { type Command, Option } from "commander";
import type { Client } from "../../api/client.ts";
import type { Items } from "../../api/schemas.ts";
import { type Agent, type AgentFlags, agentOf, ask, chooseAgents } from "../agents.ts";
import { Failure } from "../errors.ts";
import { setExitCode } from "../exit.ts";
import { formatRate, formatShare } from "../format.ts";
import type { Io } from "../io.ts";
import { print } from "../print.ts";
import { impairmentProofs, limitProof, type Proof, programProof } from "../proofs.ts";
import { type Column, printTable } from "../table.ts";
import { DISCARD, type Flow, Traffic } from "../traffic.ts";
import { Windows } from "../windows.ts";
import { duration, output, withAgents } from "./options.ts";

interface Flags extends AgentFlags {
  namespace: string;
  for: number;
  traffic?: boolean | undefined;
  output: "table" | "json" | "yaml";
}

/** Time for packets to arrive after the traffic has ended, ms, in addition to a rule's delay. */
const SETTLE = 300;
/** Interval of reading limits, ms: their rates are those of the last busy second. */
const READ_EVERY = 500;

export function addVerify(program: Command, io: Io): void {
  withAgents(program.command("verify").summary("prove by measuring that a pod's rules hold"))
    .description(
      "Watch a pod's traffic and judge each of its rules by it. What nothing passes through stays open, unless --traffic makes some. Exit code 0: all proven.",
    )
    .argument("<pod>", "the pod's name")
    .option("-n, --namespace <namespace>", "the pod's namespace", "default")
    .addOption(
      new Option("--for <duration>", "how long to watch")
        .argParser(duration({ least: "1ms", most: "24h", example: "5s" }))
        .default(5000, "5s"),
    )
    .option("--traffic", "send datagrams between the pod and another one meanwhile; needs root on this machine")
    .addOption(output("table", "json", "yaml"))
    .action(async (pod: string, flags: Flags) => setExitCode(program, await verify(io, pod, flags)));
}

async function verify(io: Io, pod: string, flags: Flags): Promise<number> {
  const { namespace } = flags;
  const what = `verify ${namespace}/${pod}`;
  const agents = await chooseAgents(io, flags);
  const { client } = await agentOf(io, agents, { what, namespace, pod });
  const own = (one: { namespace: string; pod: string }): boolean => one.namespace === namespace && one.pod === pod;
  const before = await receipts(client, own);
  const flows = flags.traffic ? await flowsOf(io, agents, `${namespace}/${pod}`, before.impairments) : [];
  const traffic = new Traffic(flows);
  const windows = new Windows();
  try {
    await watch(io, flags.for, async (time) => {
      for (const limit of (await client.list("limits")).filter(own)) windows.add(limit, time());
    });
  } finally {
    await traffic.stop();
  }
  if (flows.length > 0) await io.sleep(SETTLE + longestDelay(before.impairments));
  const proofs = proofsOf(await receipts(client, own), before, windows);
  const proven = proofs.length > 0 && proofs.every(({ verdict }) => verdict === "proven");
  if (flags.output !== "table") {
    await print(io, flags.output, { namespace, pod, seconds: flags.for / 1000, proven, items: proofs });
  } else if (proofs.length > 0) await printTable(io, columns, proofs);
  if (proofs.length === 0) throw new Failure(`${what}: it has no rules`);
  return proven ? 0 : 1;
}

const longestDelay = (rules: readonly Items["impairments"][]): number =>
  Math.max(0, ...rules.map(({ effects: { delay } }) => (delay ? (delay.base + delay.jitter) / 1e6 : 0)));

/** Traffic in both directions between the pod and another one, to the port of a rule for one UDP port. */
async function flowsOf(
  io: Io,
  agents: readonly Agent[],
  key: string,
  rules: readonly Items["impairments"][],
): Promise<Flow[]> {
  const { values } = await ask(io, agents, (client) => client.list("endpoints"));
  const endpoints = values.flat().map((one) => ({ ...one, key: `${one.namespace}/${one.name}` }));
  const pod = endpoints.find((one) => one.key === key);
  if (!pod) {
    throw new Failure(
      `send traffic to ${key}: its network is not of Weir's making (send it by yourself, without --traffic)`,
    );
  }
  const other = endpoints.find((one) => one.key !== key && one.ips.length > 0);
  const [to] = pod?.ips ?? [];
  const [from] = other?.ips ?? [];
  if (to === undefined) throw new Failure(`send traffic to ${key}: its network is not in force`);
  if (!other || from === undefined) throw new Failure(`send traffic to ${key}: no other pod is here to send it`);
  const port = Number(rules.map(({ match }) => /UDP\/(\d+)/.exec(match ?? "")?.[1]).find(Boolean) ?? DISCARD);
  return [
    { netns: other.netns, to, port },
    { netns: pod.netns, to: from, port },
  ];
}

/** Calls `read` at intervals, with the elapsed time, ms. */
async function watch(io: Io, ms: number, read: (time: () => number) => Promise<void>): Promise<void> {
  const begin = io.now();
  const time = (): number => io.now() - begin;
  while (time() < ms && !io.signal.aborted) {
    await io.sleep(Math.min(READ_EVERY, ms - time()));
    await read(time);
  }
}

type Own = (one: { namespace: string; pod: string }) => boolean;
interface Receipts {
  programs: readonly Items["programs"][];
  impairments: readonly Items["impairments"][];
  limits: readonly Items["limits"][];
}

/** An overruled rule has no effect; the rule that overrules it is verified by itself. */
const isOverruled = ({ overruledBy, effective }: Loser): boolean => overruledBy !== undefined && effective === null;
type Loser = Pick<Items["limits"] | Items["impairments"], "overruledBy" | "effective">;

async function receipts(client: Client, own: Own): Promise<Receipts> {
  const [programs, impairments, limits] = await Promise.all([
    client.list("programs"),
    client.list("impairments"),
    client.list("limits"),
  ]);
  const counts = <T extends Parameters<Own>[0] & Loser>(one: T): boolean => own(one) && !isOverruled(one);
  return { programs: programs.filter(own), impairments: impairments.filter(counts), limits: limits.filter(counts) };
}

function proofsOf(now: Receipts, before: Receipts, windows: Windows): Proof[] {
  return [
    ...now.limits.map((one) => limitProof(one, windows.rates(one), before.limits.find(same(one)))),
    ...now.impairments.flatMap((one) => impairmentProofs(one, before.impairments.find(same(one)))),
    ...now.programs.map((one) => programProof(one, before.programs.find(same(one)))),
  ];
}

interface Rule {
  source: string;
  direction: string | null;
}
const same = (a: Rule) => (b: Rule) => a.source === b.source && a.direction === b.direction;

/** A value with its unit, to three digits. */
function shown(unit: Proof["unit"], value: number | null): string {
  if (value === null) return "-";
  if (unit === "share") return formatShare(value);
  if (unit === "bit/s") return formatRate(value);
  const [scaled, name] = unit === "s" ? [1000 * value, "ms"] : [value, "packets"];
  return `${Number(scaled.toPrecision(3))} ${name}`;
}

const columns: readonly Column<Proof>[] = [
  { title: "RULE", value: ({ source, rule, effect }) => `${source}: ${effect ?? rule}` },
  { title: "DIRECTION", value: ({ direction }) => direction ?? "-" },
  { title: "EXPECTED", value: ({ unit, expected }) => shown(unit, expected), number: true },
  { title: "MEASURED", value: ({ unit, measured }) => shown(unit, measured), number: true },
  {
    title: "95 %",
    value: ({ unit, low, high }) => (low === null ? "-" : `${shown(unit, low)} – ${shown(unit, high)}`),
  },
  { title: "PACKETS", value: ({ packets }) => packets ?? "-", number: true },
  { title: "DROPPED", value: ({ dropped }) => dropped ?? "-", number: true },
  { title: "MARKED", value: ({ marked }) => marked ?? "-", number: true },
  {
    title: "VERDICT",
    value: ({ verdict }) => verdict,
    colour: ({ verdict }) => (verdict === "proven" ? "green" : verdict === "refuted" ? "red" : "yellow"),
  },
  { title: "REASON", value: ({ reason }) => reason ?? "-" },
];
