import type { Failure } from "../datapath/failure.ts";
import { type Endpoint, podPort } from "../model/cluster.ts";
import type { DesiredState, Row, RowValue } from "../model/desired.ts";
import { AGENT, type AgentView } from "./agent.ts";

/** Why a pod's network is not in force. */
export interface EndpointFailure {
  /** The kernel refused what is this pod's alone; else it is the node's trouble, which may pass. */
  own: boolean;
  message: string;
}

/**
 * What the last pass came to for one pod's network: its device, its port, and its rows. Rules are no part of it.
 * @param lacking the first of some rows that the kernel does not hold
 */
export function endpointFailure(
  endpoint: Endpoint,
  { desired, failures }: Pick<AgentView, "desired" | "failures">,
  lacking: (rows: readonly Row[]) => Row | undefined,
): EndpointFailure | undefined {
  const { device } = endpoint;
  const { port } = podPort(endpoint);
  const of = (...objects: string[]): Failure | undefined => failures.find(({ object }) => objects.includes(object));
  const own = of(`device ${device}`, `port ${port}`);
  if (own) return { own: true, message: own.message };
  const node = of("panel", AGENT);
  if (node) return { own: false, message: node.message };
  if (!desired.links.some((link) => link.device === device)) return { own: false, message: "no pass has made it" };
  const row = lacking(rowsOf(port, desired));
  if (!row) return undefined;
  const why = failures.find(({ object }) => object.split(" ").includes(row.table));
  return { own: false, message: why?.message ?? `table ${row.table} does not hold its row` };
}

/** Rows of a port, and those that lead to it. */
function rowsOf(port: string, { rows }: DesiredState): Row[] {
  const isPort = (value: RowValue | undefined): boolean =>
    typeof value === "object" && "port" in value && value["port"] === port;
  return rows.filter(({ key, value }) => isPort(key) || isPort(value["port"]));
}
