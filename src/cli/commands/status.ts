import { type Command, Option } from "commander";
import type { Status } from "../../api/schemas.ts";
import { type Agent, type AgentFlags, type Answers, ask, chooseAgents } from "../agents.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { print } from "../print.ts";
import { type Column, printTable, sorted } from "../table.ts";
import { duration, output, withAgents } from "./options.ts";

interface StatusFlags extends AgentFlags {
  wait: boolean;
  timeout: number;
  output: "table" | "wide" | "json" | "yaml";
}

const POLL_MS = 200;

export function addStatus(program: Command, io: Io): void {
  withAgents(program.command("status").summary("show the state of the agents"))
    .description("Show the state of the agent of this machine, or of all agents of a lab. Fails unless all are ready.")
    .option("--wait", "wait until all are ready", false)
    .addOption(
      new Option("--timeout <duration>", "how long to wait")
        .argParser(duration({ least: "1ms", most: "24h", example: "60s" }))
        .default(60_000, "60s"),
    )
    .addOption(output("table", "wide", "json", "yaml"))
    .action((flags: StatusFlags) => status(io, flags));
}

async function status(io: Io, flags: StatusFlags): Promise<void> {
  const { values, failures } = flags.wait ? await wait(io, flags) : await once(io, flags);
  const items = sorted(values, ({ node }) => node);
  if (items.length > 0) await show(io, items, flags);
  const unready = items
    .filter(({ state }) => state !== "ready")
    .map(({ node, reason }) => `${node}: ${reason ?? "not ready"}`);
  const late = flags.wait && !io.signal.aborted ? [`wait for ready: not within ${flags.timeout / 1000} s`] : [];
  const problems = [...failures, ...unready];
  if (problems.length > 0) throw new Failure([...late, ...problems].join("\n"));
}

async function once(io: Io, flags: StatusFlags): Promise<Answers<Status>> {
  const agents: Agent[] = await chooseAgents(io, flags);
  return ask(io, agents, (client) => client.status());
}

/** Queries at intervals until all agents are ready. Also waits for a lab or an agent that does not exist yet. */
async function wait(io: Io, flags: StatusFlags): Promise<Answers<Status>> {
  const end = io.now() + flags.timeout;
  // the selected lab is only named once
  const quiet: Io = { ...io, stderr: { write: () => true } };
  for (let first = true; ; first = false) {
    const answers = await once(first ? io : quiet, flags).catch((error: unknown) => {
      if (!(error instanceof Failure)) throw error;
      return { values: [], failures: [error.message] };
    });
    const ready = answers.failures.length === 0 && answers.values.every(({ state }) => state === "ready");
    if (ready || io.now() >= end || io.signal.aborted) return answers;
    await io.sleep(POLL_MS);
  }
}

const columns: readonly Column<Status>[] = [
  { title: "NODE", value: ({ node }) => node },
  {
    title: "STATE",
    value: ({ state }) => state,
    colour: ({ state }) =>
      ({ ready: "green", starting: "yellow", degraded: "red" })[state] as "green" | "yellow" | "red",
  },
  { title: "PODS", value: ({ pods }) => pods, number: true },
  { title: "ROWS", value: ({ observed }) => observed.rows, number: true },
  { title: "PENDING", value: ({ observed }) => observed.pending, number: true, wide: true },
  { title: "FAILED", value: ({ observed }) => observed.failed, number: true, wide: true },
  { title: "PROBLEMS", value: ({ problems }) => problems.length, number: true },
  { title: "VERSION", value: ({ version }) => version },
  { title: "ABI", value: ({ abi }) => abi, number: true, wide: true },
  { title: "KERNEL", value: ({ kernel }) => kernel },
  { title: "PID", value: ({ pid }) => pid, number: true, wide: true },
  { title: "STARTED", value: ({ startedAt }) => startedAt, wide: true },
];

async function show(io: Io, items: readonly Status[], flags: StatusFlags): Promise<void> {
  if (flags.output === "json" || flags.output === "yaml") return print(io, flags.output, { items });
  await printTable(
    io,
    columns.filter(({ wide }) => !wide || flags.output === "wide"),
    items,
  );
  const problems = items.flatMap(({ node, problems }) => problems.map((problem) => ({ node, ...problem })));
  if (problems.length === 0) return;
  io.stdout.write("\n");
  const { views } = await import("../columns.ts");
  await printTable(io, views.problems.columns, problems);
}
