import type { Command } from "commander";
import type { ZodType } from "zod";
import { kinds } from "../../api/kinds.ts";
import { dropReasons } from "../../model/drops.ts";
import { suggestion } from "../../model/suggest.ts";
import { Failure } from "../errors.ts";
import { type Field, fieldsOf, type JsonSchema } from "../fields.ts";
import type { Io } from "../io.ts";
import type { Modules } from "../modules.ts";
import { printTable } from "../table.ts";
import { keyTopics } from "../topics.ts";

type FunctionTopic = { name: string; kind: string; summary: string };

const objects = [
  { name: "status", summary: "state of one agent" },
  { name: "doctor", summary: "what a machine can and cannot do" },
  { name: "config", summary: "the agent's configuration file" },
];

/** Distinguished from the receipts `limits` and `impairments` by the capital letter. */
const manifests = [
  { name: "Limit", summary: "a manifest's limit of pods' bandwidth: weir.dev/v1alpha1" },
  { name: "Impairment", summary: "a manifest's loss, delay and the like for pods: weir.dev/v1alpha1" },
] as const;

/** Every topic that needs no module, for completion. */
export function topicNames(): string[] {
  return [...kinds, ...manifests, ...objects, ...keyTopics, ...dropReasons.slice(1)].map(({ name }) => name);
}

export function addExplain(program: Command, io: Io, modules: Partial<Modules>): void {
  program
    .command("explain")
    .summary("explain a kind, a field, a key, a function or a drop reason")
    .description(
      "Explain a kind (limits), a field (limits.effective), a key of pods (bandwidth), a network function, a drop reason or the configuration (config). Without a topic: list all.",
    )
    .argument("[topic]", "what to explain")
    .action(async (topic?: string) => {
      const functions = modules.functions ? (await modules.functions()).functions : [];
      if (topic === undefined) return overview(io, functions);
      if (await explainManifest(io, topic, modules)) return;
      return explain(io, topic, functions);
    });
}

async function overview(io: Io, functions: readonly FunctionTopic[]): Promise<void> {
  const sections: [string, readonly { name: string; summary: string }[]][] = [
    ["Kinds (weir get KIND)", kinds],
    ["Objects to write (weir apply)", manifests],
    ["Other objects", objects],
    ["Keys of pods and Services", keyTopics.map(({ name, meaning }) => ({ name, summary: meaning }))],
    ["Network functions", functions],
    ["Drop reasons", dropReasons.slice(1).map(({ name, meaning }) => ({ name, summary: meaning }))],
  ];
  const lines = sections
    .filter(([, entries]) => entries.length > 0)
    .map(([title, entries]) =>
      [`${title}:`, ...entries.map(({ name, summary }) => `  ${name.padEnd(39)} ${summary}`)].join("\n"),
    );
  io.stdout.write(`${lines.join("\n\n")}\n\nweir explain TOPIC says more, weir explain KIND.FIELD about one field.\n`);
}

/** Explains `Limit`, `Limit.spec.egress`, `Impairment.delay`. Returns false for another topic. */
async function explainManifest(io: Io, topic: string, modules: Partial<Modules>): Promise<boolean> {
  const [written = "", ...below] = topic.split(".");
  const manifest = manifests.find(({ name }) => name === written);
  if (!manifest || !modules.manifests) return false;
  const schema = (await modules.manifests()).specSchemas()[manifest.name] as JsonSchema;
  const path = below[0] === "spec" ? below.slice(1) : below;
  await explainFields(io, manifest, fieldsOf(schema), path.join(".").toLowerCase());
  return true;
}

async function explain(io: Io, topic: string, functions: readonly FunctionTopic[]): Promise<void> {
  const word = topic.toLowerCase();
  const key = keyTopics.find(({ name }) => name.toLowerCase() === word);
  if (key) return explainKey(io, key);
  const [first = "", ...rest] = word.split(".");
  // the function `limit` has precedence over the alias of `limits`
  const found = functions.find(({ name }) => name === word);
  if (found) return void io.stdout.write(`${found.name}: ${found.kind} network function\n\n${found.summary}\n`);
  const kind = kinds.find(({ name, aliases }) => name === first || aliases.includes(first));
  const object = kind ?? objects.find(({ name }) => name === first);
  if (object) return explainObject(io, object, rest.join("."));
  const reason = dropReasons.find((each) => each.name === word);
  if (reason) return void io.stdout.write(`${reason.name}: drop reason\n\n${reason.meaning}. ${reason.hint}.\n`);
  const near = suggestion(word, [...topicNames(), ...functions.map((each) => each.name)]);
  throw new Failure(`explain ${JSON.stringify(topic)}: ${near || "no such topic (weir explain lists all)"}`);
}

function explainKey(io: Io, key: (typeof keyTopics)[number]): void {
  const { name, where, grammar, example, meaning, setting } = key;
  io.stdout.write(
    `${name}: ${where}\n\n${meaning}\n\nwritten as  ${grammar}\nexample     ${example}\nsetting     ${setting}\n`,
  );
}

async function explainObject(io: Io, object: { name: string; summary: string }, path: string): Promise<void> {
  await explainFields(io, object, fieldsOf(await schemaOf(object.name)), path);
  const hint = manifests.find(({ name }) => object.name === `${name.toLowerCase()}s`);
  if (hint && path === "") io.stdout.write(`\nweir explain ${hint.name} tells how to write one.\n`);
}

async function explainFields(
  io: Io,
  object: { name: string; summary: string },
  fields: readonly Field[],
  path: string,
): Promise<void> {
  const shown = path === "" ? fields : fields.filter((field) => matches(field, path));
  if (shown.length === 0) {
    const near = suggestion(
      path,
      fields.map((field) => plain(field.path)),
    );
    throw new Failure(
      `explain ${object.name}.${path}: ${near || `no such field (weir explain ${object.name} lists all)`}`,
    );
  }
  io.stdout.write(`${object.name}: ${object.summary}\n\n`);
  await printTable(
    io,
    [
      { title: "FIELD", value: (field: Field) => field.path },
      { title: "TYPE", value: ({ type }) => type },
      { title: "MEANING", value: ({ description }) => description || "-" },
    ],
    shown,
  );
}

const plain = (path: string): string => path.replaceAll("[]", "").toLowerCase();

function matches(field: Field, path: string): boolean {
  return plain(field.path) === path || plain(field.path).startsWith(`${path}.`);
}

async function schemaOf(name: string): Promise<JsonSchema> {
  const [{ jsonSchemaOf }, schemas] = await Promise.all([
    import("../../api/json-schema.ts"),
    import("../../api/schemas.ts"),
  ]);
  const toJson = (schema: ZodType): JsonSchema => jsonSchemaOf(schema) as JsonSchema;
  if (name === "config") return toJson((await import("../../api/config.ts")).agentConfig);
  if (name === "topology") return toJson((await import("../../api/topology.ts")).topology);
  if (name === "status") return toJson(schemas.status);
  if (name === "doctor") return toJson(schemas.doctor);
  return toJson(schemas.items[name as keyof typeof schemas.items]);
}
