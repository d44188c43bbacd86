import type { Command } from "commander";
import type { Doctor, Probe } from "../../api/schemas.ts";
import { type AgentFlags, ask, chooseAgents } from "../agents.ts";
import { Failure, UsageError } from "../errors.ts";
import type { Io } from "../io.ts";
import type { Modules } from "../modules.ts";
import { print } from "../print.ts";
import { type Column, printTable } from "../table.ts";
import { output, withAgents } from "./options.ts";

interface DoctorFlags extends AgentFlags {
  output: "table" | "json" | "yaml";
}

export function addDoctor(program: Command, io: Io, modules: Partial<Modules>): void {
  withAgents(program.command("doctor").summary("show what this machine can and cannot do"))
    .description(
      "Show what this machine can and cannot do, and what follows. Needs no agent; with --lab or --socket an agent answers.",
    )
    .addOption(output("table", "json", "yaml"))
    .action((flags: DoctorFlags) => doctor(io, modules, flags));
}

async function doctor(io: Io, modules: Partial<Modules>, flags: DoctorFlags): Promise<void> {
  const result = await examine(io, modules, flags);
  await show(io, result, flags.output);
  const missing = result.probes.filter(({ required, available }) => required && !available);
  if (missing.length > 0) throw new Failure(`missing: ${missing.map(({ name }) => name).join(", ")}`);
}

async function examine(io: Io, modules: Partial<Modules>, flags: DoctorFlags): Promise<Doctor> {
  if (flags.lab === undefined && flags.socket === undefined) {
    if (flags.node !== undefined) throw new UsageError("--node needs --lab");
    if (modules.doctor) return (await modules.doctor()).examine();
  }
  // all nodes of a lab are on one machine, so one answer is enough
  const [agent] = await chooseAgents(io, flags);
  const { values, failures } = await ask(io, agent ? [agent] : [], (client) => client.doctor());
  if (!values[0]) throw new Failure(failures.join("\n"));
  return values[0];
}

const columns: readonly Column<Probe>[] = [
  { title: "CHECK", value: ({ name }) => name },
  {
    title: "FOUND",
    value: ({ available }) => (available ? "yes" : "no"),
    colour: ({ available, required }) => (available ? "green" : required ? "red" : "yellow"),
  },
  { title: "SINCE", value: ({ minimum }) => minimum ?? "-" },
  { title: "NEEDED", value: ({ required }) => (required ? "yes" : "no") },
  { title: "WHAT FOLLOWS", value: ({ available, hint }) => (available || !hint ? "-" : hint) },
];

async function show(io: Io, result: Doctor, format: "table" | "json" | "yaml"): Promise<void> {
  if (format !== "table") return print(io, format, result);
  io.stdout.write(`kernel ${result.kernel}, ${result.arch}\n\n`);
  await printTable(io, columns, result.probes);
}
