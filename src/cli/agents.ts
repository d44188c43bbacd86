import { access, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "../api/client.ts";
import { suggestion } from "../model/suggest.ts";
import { describe, Failure, UsageError } from "./errors.ts";
import { naturally } from "./format.ts";
import type { Io } from "./io.ts";

/** Flags that choose agents. */
export interface AgentFlags {
  lab?: string | undefined;
  socket?: string | undefined;
  node?: string | undefined;
}

/** An agent to ask. `label` is the node's name in a lab, else the socket. */
export interface Agent {
  label: string;
  client: Client;
}

/** Names of the labs on this machine. */
export async function labs(io: Io): Promise<string[]> {
  return (await names(join(io.runDir, "labs"))).filter(isName).sort(naturally);
}

/** Names of a lab's nodes; empty if there is no such lab. */
export async function labNodes(io: Io, lab: string): Promise<string[]> {
  if (!isName(lab)) return [];
  return (await names(join(io.runDir, "labs", lab, "nodes"))).filter(isName).sort(naturally);
}

/**
 * The agents that the flags select: all of a lab, or the one of this machine. Without flags and without an agent of this
 * machine, the only running lab is selected, and named on stderr.
 */
export async function chooseAgents(io: Io, flags: AgentFlags): Promise<Agent[]> {
  const lab = await chooseLab(io, flags);
  if (lab !== undefined) return labAgents(io, lab, flags.node);
  return [ownAgent(io, flags)];
}

/** The lab that the flags select, by name or as the only one; undefined if they select one agent. */
export async function chooseLab(
  io: Io,
  { lab, socket }: AgentFlags,
  { quiet = false } = {},
): Promise<string | undefined> {
  if (lab !== undefined && socket !== undefined) throw new UsageError("--lab and --socket exclude each other");
  return lab ?? (socket === undefined ? onlyLab(io, join(io.runDir, "agent.sock"), quiet) : undefined);
}

/** The agent at the socket of the flags, or of this machine. */
export function ownAgent(io: Io, { socket }: AgentFlags): Agent {
  const path = socket ?? join(io.runDir, "agent.sock");
  return { label: path, client: new Client({ socket: path, signal: io.signal }) };
}

async function onlyLab(io: Io, own: string, quiet: boolean): Promise<string | undefined> {
  if (await exists(own)) return undefined;
  const [lab, ...others] = await labs(io);
  if (lab === undefined || others.length > 0) return undefined;
  if (!quiet) io.stderr.write(`lab ${lab}:\n`);
  return lab;
}

async function labAgents(io: Io, lab: string, node: string | undefined): Promise<Agent[]> {
  const nodes = await labNodes(io, lab);
  if (nodes.length === 0) throw new Failure(await noLab(io, lab));
  if (node !== undefined && !nodes.includes(node)) {
    throw new Failure(
      `find node ${node} in lab ${lab}: ${suggestion(node, nodes) || `its nodes are ${nodes.join(", ")}`}`,
    );
  }
  return nodes
    .filter((name) => node === undefined || name === node)
    .map((name) => ({
      label: name,
      client: new Client({ socket: join(io.runDir, "labs", lab, "nodes", name, "agent.sock"), signal: io.signal }),
    }));
}

async function noLab(io: Io, lab: string): Promise<string> {
  const running = await labs(io);
  const hint = running.length > 0 ? `; running: ${running.join(", ")}` : "";
  return `find lab ${JSON.stringify(lab)}: not running (start it with weir lab up --name ${isName(lab) ? lab : "NAME"}${hint})`;
}

export interface Answers<T> {
  values: T[];
  /** One line for each agent that did not answer. */
  failures: string[];
}

/** Queries all agents concurrently. Failures are returned beside the other agents' answers. */
export async function ask<T>(
  io: Io,
  agents: readonly Agent[],
  call: (client: Client) => Promise<T>,
): Promise<Answers<T>> {
  const settled = await Promise.allSettled(agents.map(({ client }) => call(client)));
  const values: T[] = [];
  const failures: string[] = [];
  for (const [index, result] of settled.entries()) {
    if (result.status === "fulfilled") values.push(result.value);
    else failures.push(await explainFailure(io, agents[index] as Agent, result.reason));
  }
  return { values, failures };
}

/** The agent of the pod's node. @param what beginning of the error message if there is none */
export async function agentOf(
  io: Io,
  agents: readonly Agent[],
  { what, namespace, pod }: { what: string; namespace: string; pod: string },
): Promise<Agent> {
  const { values, failures } = await ask(io, agents, async (client) => ({ client, pods: await client.list("pods") }));
  const found = values.find(({ pods }) => pods.some((one) => one.namespace === namespace && one.name === pod));
  const agent = agents.find(({ client }) => client === found?.client);
  if (agent) return agent;
  if (failures.length > 0) throw new Failure(failures.join("\n"));
  const known = values.flatMap(({ pods }) => pods.filter((one) => one.namespace === namespace).map(({ name }) => name));
  const hint = suggestion(pod, known) || "weir get pods lists them; -n names the namespace";
  throw new Failure(`${what}: no such pod here (${hint})`);
}

async function explainFailure(io: Io, { label, client }: Agent, reason: unknown): Promise<string> {
  const inLab = label !== client.socket;
  if (inLab) return `${label}: ${describe(reason)}`;
  const running = await labs(io).catch(() => []);
  const hint = running.length > 0 ? `; labs that run: ${running.join(", ")} (--lab NAME)` : "";
  return `${describe(reason)}${hint}`;
}

/** Whether the path exists; true if access is denied. */
async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
  );
}

async function names(directory: string): Promise<string[]> {
  return readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EACCES") throw new Failure(`look for labs in ${directory}: EACCES (only root may: try sudo)`);
    return [];
  });
}

/** Whether a name is valid. Names become parts of paths. */
function isName(text: string): boolean {
  return /^[a-z0-9][a-z0-9-]*$/.test(text);
}
