import type { Command } from "commander";
import type { Client } from "../../api/client.ts";
import { differences } from "../../model/difference.ts";
import { checkSubdomain, objectKey } from "../../model/names.ts";
import type { Problem } from "../../model/problem.ts";
import { ruleProblems } from "../../model/rule-objects.ts";
import { type AgentFlags, chooseLab, ownAgent } from "../agents.ts";
import { describe, Failure, UsageError } from "../errors.ts";
import { setExitCode } from "../exit.ts";
import { printable } from "../format.ts";
import type { Io } from "../io.ts";
import type { ManifestInput, Modules, ObjectChange } from "../modules.ts";
import {
  compareAll,
  deleteAll,
  type KubernetesFlags,
  meansKubernetes,
  putAll,
  withKubernetesApi,
} from "./kubernetes.ts";
import { collect, FILES, given } from "./options.ts";

type Programs = Pick<Modules, "manifests" | "lab" | "kubernetes">;
interface Flags extends AgentFlags, KubernetesFlags {
  file?: readonly string[] | undefined;
  dryRun?: boolean | undefined;
  namespace?: string | undefined;
}

/** Exit code of `weir diff` on errors; 1 means differences, as with diff. */
const NOT_COMPARED = 2;

function withTarget(command: Command): Command {
  return command
    .option("--lab <lab>", "this lab")
    .option("--socket <path>", "the agent at this unix socket (default: /run/weir/agent.sock)")
    .option("--kubeconfig <file>", "the Kubernetes API of this file")
    .option("--context <name>", "the Kubernetes API of this context");
}

export function addApply(program: Command, io: Io, load: Programs): void {
  withTarget(program.command("apply"))
    .summary("create or change objects")
    .description(
      "Create or change the objects of manifests, at an agent, in a lab, or at a Kubernetes API. Returns once they are in force; with an API, once it has accepted them.",
    )
    .requiredOption("-f, --file <path>", FILES, collect)
    .option("--dry-run", "only report what would happen")
    .action(async (flags: Flags) => setExitCode(program, await apply(io, load, flags)));
}

export function addDiff(program: Command, io: Io, load: Programs): void {
  withTarget(program.command("diff"))
    .summary("show what apply would change")
    .description("Show what apply would change, field by field. Exit code 0: nothing; 1: something; 2: not compared.")
    .requiredOption("-f, --file <path>", FILES, collect)
    .action(async (flags: Flags) => setExitCode(program, await diff(io, load, flags)));
}

export function addDelete(program: Command, io: Io, load: Programs): void {
  withTarget(program.command("delete"))
    .summary("delete objects that were applied")
    .description("Delete the objects that manifests or arguments name. Returns once they are removed.")
    .argument("[object...]", "KIND/NAME, or KIND/NAMESPACE/NAME")
    .option("-f, --file <path>", FILES, collect)
    .option("-n, --namespace <namespace>", "the objects' namespace", "default")
    .option("--dry-run", "only report what would happen")
    .action(async (names: string[], flags: Flags) => setExitCode(program, await remove(io, load, names, flags)));
}

async function apply(io: Io, load: Programs, flags: Flags): Promise<unknown> {
  if (meansKubernetes(flags)) {
    const documents = await read(io, load, flags);
    return withKubernetesApi(io, load, flags, (kubernetes) =>
      putAll(io, kubernetes, documents, flags.dryRun ?? false, (one) => `${words(actionOf(one), flags)} ${one.key}\n`),
    );
  }
  const lab = await chooseLab(io, flags);
  if (lab !== undefined) {
    if (flags.dryRun) {
      const { changes, previewed } = await labChanges(io, load, lab, flags);
      for (const one of changes) io.stdout.write(`${words(actionOf(one), flags)} ${one.key}\n`);
      return tell(io, unique(previewed)) ? 1 : 0;
    }
    return (await load.lab()).apply({ name: lab, ...(await given(io, flags)) }, io);
  }
  const documents = await read(io, load, flags);
  const changes = await ownAgent(io, flags).client.putObjects(
    documents.map(({ document }) => document),
    { dryRun: flags.dryRun ?? false },
  );
  for (const one of changes) io.stdout.write(`${words(one.action, flags)} ${keyOf(one)}\n`);
  const silent = changes.filter(({ problems }) => problems.length === 0).map(keyOf);
  const ofRules = flags.dryRun ? [] : ruleProblems(silent, await ownAgent(io, flags).client.receipts());
  return tell(io, [...unique(changes.flatMap(({ problems }) => problems)), ...ofRules]) ? 1 : 0;
}

const words = (action: string, { dryRun }: Flags): string =>
  dryRun && action !== "unchanged" ? `would be ${action}:` : action;

function actionOf({ before, after }: ObjectChange): string {
  if (!before) return "created";
  return differences(before, after).length > 0 ? "changed" : "unchanged";
}

async function diff(io: Io, load: Programs, flags: Flags): Promise<number> {
  let changes: readonly ObjectChange[];
  try {
    if (meansKubernetes(flags)) {
      const documents = await read(io, load, flags);
      return await withKubernetesApi(io, load, flags, (kubernetes) => compareAll(io, kubernetes, documents, different));
    }
    const lab = await chooseLab(io, flags);
    if (lab === undefined) changes = await agentChanges(io, load, flags);
    else {
      const would = await labChanges(io, load, lab, flags);
      tell(io, unique(would.previewed));
      changes = would.changes;
    }
  } catch (error) {
    if (io.signal.aborted) throw error;
    io.stderr.write(`weir: ${describe(error)}\n`);
    return NOT_COMPARED;
  }
  const found = changes.flatMap((one) => different(one) ?? []);
  for (const text of found) io.stdout.write(text);
  return found.length > 0 ? 1 : 0;
}

/** The differences of an object, as lines; undefined if there are none. */
function different(one: ObjectChange): string | undefined {
  const action = actionOf(one);
  return action === "unchanged" ? undefined : `${action} ${one.key}\n${fields(one)}`;
}

/** A line for each field: `+` new, `-` removed, `~` changed. */
function fields({ before, after }: ObjectChange): string {
  const value = (it: unknown): string => printable(JSON.stringify(it));
  return differences(before ?? {}, after)
    .map(({ path, before: old, after: now }) => {
      if (old === undefined) return `  + ${path}: ${value(now)}\n`;
      return now === undefined ? `  - ${path}: ${value(old)}\n` : `  ~ ${path}: ${value(old)} → ${value(now)}\n`;
    })
    .join("");
}

async function agentChanges(io: Io, load: Programs, flags: Flags): Promise<ObjectChange[]> {
  const documents = await read(io, load, flags);
  const held = new Map((await ownAgent(io, flags).client.list("objects")).map((one) => [keyOf(one), one.manifest]));
  return documents.map(({ key, document }) => ({ key, before: held.get(key), after: named(key, document) }));
}

/** The object with its default namespace, as the agent holds it. */
function named(key: string, document: Readonly<Record<string, unknown>>): object {
  const [, namespace, name] = key.split("/");
  if (name === undefined) return document;
  return { ...document, metadata: { ...(document["metadata"] as object), namespace } };
}

async function labChanges(io: Io, load: Programs, lab: string, flags: Flags) {
  const would = await (await load.lab()).changes({ name: lab, ...(await given(io, flags)) }, io);
  if (tell(io, would.problems)) throw new Failure("read manifests: some are invalid (see above)");
  return would;
}

async function remove(io: Io, load: Programs, names: readonly string[], flags: Flags): Promise<unknown> {
  if (names.length === 0 && !flags.file) throw new UsageError("delete: name objects (KIND/NAME), or give -f FILE");
  const { findKind } = await load.manifests();
  const keys = names.map((name) => parseName(name, flags.namespace ?? "default", findKind));
  if (meansKubernetes(flags)) {
    const documents = flags.file ? await read(io, load, flags) : [];
    return withKubernetesApi(io, load, flags, (kubernetes) =>
      deleteAll(io, kubernetes, [...keys, ...documents.map(({ key }) => key)], flags.dryRun ?? false),
    );
  }
  const lab = await chooseLab(io, flags);
  if (lab !== undefined) {
    return (await load.lab()).del({ name: lab, ...(await given(io, flags)), keys, dryRun: flags.dryRun }, io);
  }
  const written = flags.file ? (await read(io, load, flags)).map(({ key }) => key) : [];
  await removeAll(io, ownAgent(io, flags).client, [...new Set([...keys, ...written])], flags);
  return 0;
}

async function removeAll(io: Io, client: Client, keys: readonly string[], { dryRun }: Flags): Promise<void> {
  const there = new Map((await client.list("objects")).map((one) => [keyOf(one), one]));
  for (const key of keys) {
    const one = there.get(key);
    if (!one) io.stderr.write(`! ${key}: does not exist\n`);
    else {
      if (!dryRun) await client.deleteObject({ ...one, namespace: one.namespace ?? undefined });
      io.stdout.write(`${dryRun ? "would delete" : "deleted"} ${key}\n`);
    }
  }
}

type FindKind = (word: string) => { kind: string; namespaced: boolean } | undefined;

function parseName(text: string, fallback: string, findKind: FindKind): string {
  const [word = "", ...rest] = text.split("/");
  const found = findKind(word);
  if (!found)
    throw new UsageError(`delete ${JSON.stringify(text)}: no such kind (write KIND/NAME, e.g. Impairment/slow)`);
  const [first = "", last] = rest;
  const count = found.namespaced ? [1, 2] : [1];
  if (!count.includes(rest.length) || rest.includes("")) {
    throw new UsageError(
      `delete ${JSON.stringify(text)}: write ${found.kind}/${found.namespaced ? "[NAMESPACE/]" : ""}NAME`,
    );
  }
  const bad = rest.map((part) => checkSubdomain(part)).find((reason) => reason !== undefined);
  if (bad) throw new UsageError(`delete ${JSON.stringify(text)}: a name ${bad}`);
  if (!found.namespaced) return objectKey(found.kind, { name: first });
  return objectKey(
    found.kind,
    last === undefined ? { namespace: fallback, name: first } : { namespace: first, name: last },
  );
}

const keyOf = ({ kind, namespace, name }: { kind: string; namespace: string | null; name: string }): string =>
  objectKey(kind, { namespace: namespace ?? undefined, name });

/** Reads the documents. If any is invalid, reports the problems and throws: all are applied or none. */
async function read(io: Io, load: Programs, flags: Flags) {
  const { files, text } = await given(io, flags);
  const inputs: ManifestInput[] = files.map((path) => ({ path }));
  if (text !== undefined) inputs.push({ text, name: "stdin" });
  const { documents, problems } = (await load.manifests()).readManifestDocuments(inputs);
  if (tell(io, problems)) throw new Failure("read manifests: some are invalid (see above); nothing was changed");
  if (documents.length === 0)
    throw new Failure("read manifests: no object of a kind that Weir uses; nothing was changed");
  return documents;
}

function unique(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [`${one.object} ${one.path} ${one.message}`, one])).values()];
}

/** Writes problems to stderr. Returns whether any is an error. */
function tell(io: Io, problems: readonly Problem[]): boolean {
  const isError = ({ severity = "error" }: Problem): boolean => severity === "error";
  for (const one of problems) {
    const field = one.path ? ` ${one.path}` : "";
    const at = one.at ? ` (${one.at})` : "";
    io.stderr.write(`${printable(`${isError(one) ? "✖" : "!"} ${one.object}${field}: ${one.message}${at}`)}\n`);
  }
  return problems.some(isError);
}
