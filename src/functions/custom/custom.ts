import type { Direction } from "../../model/directions.ts";
import type { Fragment } from "../../model/document.ts";
import type { NetworkFunction } from "../../model/function.ts";
import type { PodPort } from "../../model/node-context.ts";
import type { ProgramInForce } from "../../model/programs.ts";

/** Order in a chain: before impairments and the limit, which then apply to the packets that it passes. */
const ORDER = 50;

/** Runs users' programs on a pod's packets, per direction. */
export const custom: NetworkFunction = {
  name: "custom",
  kind: "transparent",
  summary: "runs a program of the administrator's list on a pod's packets: it says pass or drop, and may change them",
  tables: [],
  state: ["weir_custom_use"],
};

/**
 * Instance of a program at a pod's port, per direction. Another build is another instance, with counters of its own.
 */
export const customInstance = (port: string, direction: Direction, build: string): string =>
  `custom:${port}:${direction}:${build}`;

/** Parses an instance's name; undefined if it is another function's. */
export function readCustomInstance(name: string): { port: string; direction: Direction; build: string } | undefined {
  const [, port = "", direction, build = ""] = /^custom:([^:]+):(ingress|egress):([0-9a-f]{12})$/.exec(name) ?? [];
  return direction === undefined ? undefined : { port, direction: direction as Direction, build };
}

/** The items for a user's program at a pod's port. */
export function customItems(at: PodPort, { direction, build }: ProgramInForce): Omit<Fragment, "owner"> {
  const instance = customInstance(at.id, direction, build);
  return {
    instances: [{ name: instance, function: "custom", program: build }],
    // a pod's egress enters its port, its ingress leaves by it
    attach: [{ port: at.port, direction: direction === "egress" ? "ingress" : "egress", instance, order: ORDER }],
  };
}
