import { afterAll, beforeAll, test } from "vitest";
import { buildApp } from "../../src/api/server.ts";
import { MemoryBackend } from "../../src/api/testing/memory.ts";
import { topicNames } from "../../src/cli/commands/explain.ts";
import { systemIo } from "../../src/cli/io.ts";
import { systemModules } from "../../src/cli/load.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { scripts } from "../../src/cli/shells.ts";
import { Machine } from "../../src/cli/testing/harness.ts";
import { functions } from "../../src/functions/index.ts";
import { inline, Records } from "./record.ts";

/** Outputs that need no agent, compared with files: `npx vitest run --project=unit test/golden -u` writes them. */

const records = new Records("text");
let machine: Machine;
beforeAll(async () => {
  machine = await Machine.create();
});
afterAll(() => machine.close());

async function printed(...argv: string[]): Promise<string> {
  const { code, out, err } = await machine.run(argv, systemModules);
  return `$ weir ${argv.join(" ")}\n${out}${err}${code === 0 ? "" : `exit code ${code}\n`}`;
}

async function all(lines: readonly (readonly string[])[]): Promise<string> {
  const texts: string[] = [];
  for (const argv of lines) texts.push(await printed(...argv));
  return texts.join("\n");
}

interface Command {
  name(): string;
  commands: readonly Command[];
}
const paths = (command: Command, path: readonly string[] = []): string[][] => [
  [...path, "--help"],
  ...command.commands.flatMap((one) => (one.name() === "__complete" ? [] : paths(one, [...path, one.name()]))),
];

test("the help of every command", async () => {
  const program = buildProgram(systemIo(new AbortController().signal), systemModules);
  await records.is("help.txt", await all(paths(program)));
});

test("the explanation of every topic", async () => {
  const topics = [...topicNames(), ...functions.map(({ name }) => name), "Limit.spec.egress", "limits.wait", "limts"];
  await records.is("explain.txt", await all([["explain"], ...topics.map((topic) => ["explain", topic])]));
});

test("what needs an agent, without one; wrong usage; versions", async () => {
  const lines = [
    ...[["status"], ["get", "pods"], ["get", "pods", "--lab", "x"], ["verify", "a"], ["impair", "a", "--for", "1s"]],
    ...[
      ["lab", "list"],
      ["lab", "status"],
      ["diff", "-f", "none.yaml"],
      ["explain", "nothing"],
    ],
    ...[["nothing"], ["get"], ["status", "--timeout", "1"], ["apply"], ["delete"], ["version"], ["--version"]],
  ];
  await records.is("without.txt", await all(lines));
});

test("completion scripts", async () => {
  await records.is("completion.txt", await all(Object.keys(scripts).map((shell) => ["completion", shell])));
});

type Json = Readonly<Record<string, unknown>>;
interface Operation {
  summary?: string;
  parameters?: readonly (Json & { name: string; in: string })[];
  requestBody?: unknown;
  responses: Json;
}

test("the REST API's description", async () => {
  const { app } = await buildApp(new MemoryBackend("n1"));
  const document = (await app.inject("/openapi.json")).json() as {
    paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    components: { schemas: Readonly<Record<string, Json>> };
  };
  await app.close();
  const operation = (path: string, method: string, one: Operation): string =>
    [
      `${method.toUpperCase()} ${path}: ${one.summary}`,
      ...(one.parameters ?? []).map(({ name, ...rest }) => `  ${name} ${inline(rest)}`),
      ...(one.requestBody === undefined ? [] : [`  body ${inline(one.requestBody)}`]),
      ...Object.entries(one.responses).map(([code, answer]) => `  ${code} ${inline(answer)}`),
    ].join("\n");
  const schema = (name: string, { properties = {}, ...rest }: Json): string =>
    [
      `${name} ${inline(rest)}`,
      ...Object.entries(properties as Json).map(([field, value]) => `  ${field}: ${inline(value)}`),
    ].join("\n");
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => operation(path, method, one)),
  );
  const schemas = Object.entries(document.components.schemas).map(([name, one]) => schema(name, one));
  await records.is("openapi.txt", `${[...routes, ...schemas].join("\n\n")}\n`);
});

test("every record belongs to a test", () => records.areAll());
