import { randomBytes } from "node:crypto";
import { type Command, Option } from "commander";
import { Client } from "../../api/client.ts";
import type { Items } from "../../api/schemas.ts";
import { objectKey } from "../../model/names.ts";
import { type OneOff, oneOffManifest, oneOffName } from "../../model/one-off.ts";
import { type AgentFlags, agentOf, chooseAgents, chooseLab } from "../agents.ts";
import { describe, Failure, UsageError } from "../errors.ts";
import { setExitCode } from "../exit.ts";
import { formatInterval, formatShare, printable } from "../format.ts";
import { type EffectFlags, flagOf, loss, peer, percent, port, rate, seed, specOf, time } from "../impair-flags.ts";
import type { Io } from "../io.ts";
import type { Modules } from "../modules.ts";
import { duration, withAgents } from "./options.ts";

type Receipt = Items["impairments"];
interface Flags extends AgentFlags, EffectFlags {
  namespace: string;
  for: number;
  wait?: boolean | undefined;
}

const INTERRUPTED = 130;
const LONGEST = "8760h";
/** Interval at which a waiting command reads receipts, ms. */
const PAUSE = 500;
/** Highest difference between the datapath's clock and this process's, ms. */
const MARGIN = 50;

export function addImpair(program: Command, io: Io, modules: Pick<Partial<Modules>, "manifests">): void {
  withAgents(program.command("impair").summary("impair a pod for some time"))
    .description(
      "Lose, duplicate, corrupt or delay a pod's packets for some time. The datapath ends it by itself, even if Weir stops.",
    )
    .argument("<pod>", "the pod's name")
    .option("-n, --namespace <namespace>", "the pod's namespace", "default")
    .requiredOption("--for <duration>", "how long, e.g. 30s", duration({ least: "1s", most: LONGEST, example: "30s" }))
    .addOption(
      new Option("--direction <direction>", "as the pod sees it")
        .choices(["ingress", "egress", "both"])
        .default("both"),
    )
    .option("--loss <loss>", '2%, "exponential 300", or "burst p=1% r=20%"', loss)
    .option("--duplicate <share>", "share of packets that are duplicated, e.g. 1%", percent)
    .option("--corrupt <share>", "share of packets with a flipped bit", percent)
    .option("--delay <duration>", "delay of packets, e.g. 50ms", time("50ms"))
    .option("--jitter <duration>", "largest deviation from the delay, in both directions", time("10ms"))
    .option("--reorder <share>", "share of packets that are not delayed", percent)
    .option("--pace <rate>", "bit/s at which packets leave, e.g. 10M", rate)
    .option("--seed <number>", "the same seed affects the same packets in the same way", seed)
    .option(
      "--peer <network>",
      "only packets to or from these addresses, e.g. 10.0.0.0/8 or 10.0.0.7; may be given several times",
      peer,
    )
    .option("--port <port>", "only this port, e.g. 53/UDP; may be given several times", port)
    .option("--lease <duration>", "how long it lasts if no agent renews it", time("30s"))
    .option("--override", "take precedence over all other rules for the same packets; names the overruled ones")
    .option("--wait", "return at its end, with the measured effect; Ctrl+C ends it early")
    .action(async (pod: string, flags: Flags) => setExitCode(program, await impair(io, modules, pod, flags)));
}

async function impair(
  io: Io,
  modules: Pick<Partial<Modules>, "manifests">,
  pod: string,
  flags: Flags,
): Promise<number> {
  const { namespace } = flags;
  checkFlags(pod, flags);
  const until = io.wall() + flags.for;
  const one = { namespace, pod, id: idOf(io.wall()), spec: specOf(flags), until };
  const agent = await agentOf(io, await chooseAgents(io, flags), {
    what: `impair ${namespace}/${pod}`,
    namespace,
    pod,
  });
  await check(modules, oneOffManifest(one));
  // Clean-up calls must not be aborted by the command's signal.
  const client = new Client({ socket: agent.client.socket });
  const object = { kind: "Impairment", namespace, name: oneOffName(one) };
  const [change] = await client.putObjects([oneOffManifest(one)]);
  const source = objectKey(object.kind, object);
  const all = await client.list("impairments");
  const receipts = all.filter((each) => each.source === source);
  const wanted = flags.direction === "both" ? 2 : 1;
  const wrong = receipts.find(({ state, reason }) => state !== "active" || reason !== null);
  if (wrong || receipts.length < wanted) {
    await client.deleteObject(object);
    const told = wrong?.reason ?? change?.problems.map(({ message }) => message).join("; ");
    const hint = wrong?.overruledBy === undefined || flags.override ? "" : " (--override takes precedence meanwhile)";
    throw new Failure(`impair ${namespace}/${pod}: ${printable(told || "no rule resulted")}; removed${hint}`);
  }
  tellLosers(io, all, source, until);
  for (const each of receipts) io.stdout.write(`${line(each)}; ends at ${new Date(one.until).toISOString()}\n`);
  if (!flags.wait) {
    io.stdout.write(`${printable(`weir delete ${source}${await targetOf(io, flags)} ends it earlier`)}\n`);
    return 0;
  }
  const { last, gone } = await follow(io, client, one, source, receipts);
  await client
    .deleteObject(object)
    .catch((error) => io.stderr.write(`! ${describe(error)}; the impairment has ended anyway\n`));
  for (const each of last) io.stdout.write(`${measured(each)}\n`);
  if (gone !== undefined) throw new Failure(`impair ${namespace}/${pod}: ended early: ${printable(gone)}`);
  return io.signal.aborted ? INTERRUPTED : 0;
}

const EFFECTS = ["loss", "duplicate", "corrupt", "delay", "pace"] as const;

function checkFlags(pod: string, flags: EffectFlags): void {
  const alone = (["jitter", "reorder"] as const).find((name) => flags[name] !== undefined && flags.delay === undefined);
  if (alone) throw new UsageError(`impair ${pod}: --${alone} needs --delay: give both`);
  if (EFFECTS.some((name) => flags[name] !== undefined)) return;
  throw new UsageError(`impair ${pod}: give one of ${EFFECTS.map((name) => `--${name}`).join(", ")}`);
}

/** The flag with which other commands select the same agent; empty if none is needed. */
async function targetOf(io: Io, flags: AgentFlags): Promise<string> {
  if (flags.socket !== undefined) return ` --socket ${flags.socket}`;
  const lab = await chooseLab(io, flags, { quiet: true });
  return lab === undefined ? "" : ` --lab ${lab}`;
}

/** Validates the manifest like an agent, but reports the flag rather than the field, as wrong usage. */
async function check(
  { manifests }: Pick<Partial<Modules>, "manifests">,
  manifest: Record<string, unknown>,
): Promise<void> {
  const inputs = [{ text: JSON.stringify(manifest), name: "flags" }];
  const [wrong] = (await manifests?.())?.readManifestDocuments(inputs).problems ?? [];
  if (wrong) throw new UsageError(`impair: ${flagOf(wrong.path ?? "")}: ${printable(wrong.message)}`);
}

/** Names the overruled rules, since their authors may not know. */
function tellLosers(io: Io, all: readonly Receipt[], source: string, until: number): void {
  for (const { namespace, pod, direction, source: loser, configured, overruledBy } of all) {
    if (overruledBy !== source) continue;
    const end = new Date(until).toISOString();
    const text = `${namespace}/${pod} ${direction}: ${loser} (${configured}) is overruled until ${end}`;
    io.stderr.write(`! ${printable(text)}\n`);
  }
}

/** Names sort by time of creation: of two rules of equal rank the first by name has precedence, the older one. */
const idOf = (now: number): string => `${now.toString(36)}${randomBytes(2).toString("hex")}`;

const receiptsOf = async (client: Client, source: string): Promise<Receipt[]> =>
  (await client.list("impairments")).filter((one) => one.source === source);

/** Result of a wait: the last receipts, and the reason if it ended early. */
interface Followed {
  last: readonly Receipt[];
  gone?: string | undefined;
}

/** Waits for the end. A failing agent does not end the wait early; a removed pod or object does. */
async function follow(
  io: Io,
  client: Client,
  one: OneOff,
  source: string,
  first: readonly Receipt[],
): Promise<Followed> {
  let last = first;
  let told = false;
  for (;;) {
    const left = one.until + MARGIN - io.wall();
    if (left > 0) await io.sleep(Math.min(left, PAUSE));
    try {
      const { receipts, gone } = await look(client, one, source);
      last = receipts ?? last;
      if (gone !== undefined && left > PAUSE) return { last, gone };
    } catch (error) {
      if (!told) io.stderr.write(`! ${describe(error)}; the impairment ends by itself\n`);
      told = true;
    }
    if (left <= PAUSE || io.signal.aborted) return { last };
  }
}

async function look(client: Client, one: OneOff, source: string): Promise<{ receipts?: Receipt[]; gone?: string }> {
  const receipts = await receiptsOf(client, source);
  if (receipts.length > 0) return { receipts };
  const gone = await goneOf(client, one);
  return gone === undefined ? {} : { gone };
}

/** What is missing if a rule has no receipts, its pod or its object; undefined if both exist: a starting agent has no receipts yet. */
async function goneOf(client: Client, one: OneOff): Promise<string | undefined> {
  const { namespace, pod } = one;
  const pods = await client.list("pods");
  if (!pods.some((each) => each.namespace === namespace && each.name === pod)) return "the pod was removed";
  const objects = await client.list("objects");
  const name = oneOffName(one);
  const isThere = objects.some((each) => each.namespace === namespace && each.name === name);
  return isThere ? undefined : `${objectKey("Impairment", { namespace, name })} was deleted`;
}

function line({ namespace, pod, direction, effective, match, state }: Receipt): string {
  return printable(`${namespace}/${pod} ${direction}: ${effective}${match ? ` for ${match}` : ""}, ${state}`);
}

function measured(one: Receipt): string {
  const counts = (["duplicated", "corrupted", "reordered", "delayed"] as const)
    .filter((name) => one[name] > 0)
    .map((name) => `, ${one[name]} ${name}`);
  const rate =
    one.measuredLoss === null
      ? ""
      : ` (${formatShare(one.measuredLoss)}; 95 %: ${formatInterval(one.lossLow, one.lossHigh)})`;
  return `${one.namespace}/${one.pod} ${one.direction}: ${one.packets} packets, ${one.lost} lost${rate}${counts.join("")}`;
}
