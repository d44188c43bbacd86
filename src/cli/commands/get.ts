import { Argument, type Command, InvalidArgumentError } from "commander";
import type { Client } from "../../api/client.ts";
import { type KindName, kinds } from "../../api/kinds.ts";
import { suggestion } from "../../model/suggest.ts";
import { type AgentFlags, ask, chooseAgents, chooseLab } from "../agents.ts";
import { type Item, type View, views } from "../columns.ts";
import { describe, Failure } from "../errors.ts";
import { printable } from "../format.ts";
import type { Io } from "../io.ts";
import type { Modules } from "../modules.ts";
import { print } from "../print.ts";
import { printTable, sorted } from "../table.ts";
import { output, withAgents } from "./options.ts";

interface GetFlags extends AgentFlags {
  namespace?: string | undefined;
  output: "table" | "wide" | "json" | "yaml";
}

export function addGet(program: Command, io: Io, modules: Pick<Partial<Modules>, "lab">): void {
  const kind = new Argument("<kind>", `one of ${kinds.map(({ name }) => name).join(", ")}`).argParser(parseKind);
  withAgents(program.command("get").summary("show what an agent holds"))
    .description("Show what the agent of this machine holds, or all agents of a lab.")
    .addArgument(kind)
    .argument("[name]", "only the items of this name")
    .option("-n, --namespace <namespace>", "only what belongs to pods of this namespace")
    .option("-A, --all-namespaces", "all namespaces (as without -n)")
    .addOption(output("table", "wide", "json", "yaml"))
    .addHelpText(
      "after",
      () => `\nKinds:\n${kinds.map((each) => `  ${each.name.padEnd(13)}${each.summary}`).join("\n")}`,
    )
    .action((name: KindName, only: string | undefined, flags: GetFlags & { allNamespaces?: boolean }) =>
      get(io, modules, name, only, flags.allNamespaces ? { ...flags, namespace: undefined } : flags),
    );
}

/** Parses a kind or its alias. */
export function parseKind(word: string): KindName {
  const found = kinds.find(({ name, aliases }) => name === word.toLowerCase() || aliases.includes(word.toLowerCase()));
  if (found) return found.name;
  const names = kinds.map(({ name }) => name);
  throw new InvalidArgumentError(`${suggestion(word, names) || "There is no such kind."}\nKinds: ${names.join(", ")}`);
}

async function get<K extends KindName>(
  io: Io,
  modules: Pick<Partial<Modules>, "lab">,
  kind: K,
  only: string | undefined,
  flags: GetFlags,
): Promise<void> {
  const view: View<Item<K>> = views[kind];
  const { values, failures } = await ask(io, await chooseAgents(io, flags), (client) => fetch(client, kind));
  const ofLab =
    kind === "objects"
      ? await labObjects(io, modules, flags).catch((error) => {
          failures.push(describe(error));
          return [];
        })
      : [];
  const items = sorted([...values.flat(), ...(ofLab as Item<K>[])], ...view.order).filter(
    (item) =>
      (only === undefined || view.name(item) === only || podOf(item)?.name === only) &&
      (flags.node === undefined || view.node(item) === flags.node) &&
      (flags.namespace === undefined || kind === "topology" || podOf(item)?.namespace === flags.namespace),
  );
  // if the only agent fails there is nothing to show
  const isMissing = only !== undefined && items.length === 0;
  if (values.length > 0 && !(isMissing && isText(flags))) await show(io, kind, view, items, flags);
  if (isText(flags) && !isMissing) await tellIdle(io, kind, items, flags);
  if (failures.length > 0) throw new Failure(failures.join("\n"));
  if (isMissing) throw new Failure(`get ${kind} ${JSON.stringify(only)}: it does not exist`);
}

const isText = ({ output }: GetFlags): boolean => output === "table" || output === "wide";

/** Reports objects without a row: they select no pod, or are invalid. */
async function tellIdle(io: Io, kind: KindName, items: readonly object[], flags: GetFlags): Promise<void> {
  const own = { limits: "Limit/", impairments: "Impairment/" }[kind as string];
  if (own === undefined) return;
  const quiet: Io = { ...io, stderr: { write: () => true } };
  const { values } = await ask(io, await chooseAgents(quiet, flags), (client) => client.list("problems"));
  const shown = new Set(items.map((item) => (item as { source?: string }).source));
  const idle = values.flat().filter(({ object }) => object.startsWith(own) && !shown.has(object));
  const wanted = idle.filter((one) => flags.namespace === undefined || podOf(one)?.namespace === flags.namespace);
  const lines = wanted.map(({ object, path, message }) =>
    printable(`! ${object}${path ? ` ${path}` : ""}: ${message}`),
  );
  for (const line of new Set(lines)) io.stderr.write(`${line}\n`);
}

/** Objects that a lab itself holds, and that no node's agent has. */
async function labObjects(io: Io, { lab: load }: Pick<Partial<Modules>, "lab">, flags: GetFlags) {
  const lab = load && flags.node === undefined ? await chooseLab(io, flags, { quiet: true }) : undefined;
  if (!load || lab === undefined) return [];
  return (await (await load()).objects({ name: lab }, io)).map((one) => ({ ...one, node: "" }));
}

/** The pod of an item. */
function podOf(item: object): { namespace: string; name: string } | undefined {
  const { namespace, name, pod, owner, object } = item as Partial<Record<string, string | null>>;
  if (namespace) return { namespace, name: pod ?? name ?? "" };
  const [first = "", last = ""] = (owner ?? object?.replace(/^[^/]*\//, "") ?? "").split("/", 2);
  return last ? { namespace: first, name: last } : undefined;
}

async function fetch<K extends KindName>(client: Client, kind: K): Promise<Item<K>[]> {
  if (kind === "topology") return [await client.topology()] as Item<K>[];
  return (await client.list(kind)) as Item<K>[];
}

async function show<T extends object>(
  io: Io,
  kind: KindName,
  view: View<T>,
  items: readonly T[],
  flags: GetFlags,
): Promise<void> {
  if (flags.output === "json") return print(io, "json", { items });
  if (flags.output === "yaml") {
    // a topology is a document by itself, which can be stored and edited
    return kind === "topology" ? print(io, "yaml", ...items) : print(io, "yaml", { items });
  }
  if (items.length === 0) return void io.stderr.write(`no ${kind}\n`);
  const columns = view.columns.filter(({ wide }) => !wide || flags.output === "wide");
  await printTable(io, columns, items);
}
