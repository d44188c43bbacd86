import * as z from "zod";
import type { Document, RowFields, RowValue } from "../model/document.ts";
import { apiVersion } from "../model/version.ts";
import * as field from "./fields.ts";

/**
 * A node's desired state as a document in JSON or YAML.
 * In rows, bytes are `{bytes: "0a0b"}` and integers beyond 2^53 are `{integer: "…"}`, since JSON has neither.
 */

export type CellDocument = string | number | readonly CellDocument[] | { readonly [field: string]: CellDocument };

const cell: z.ZodType<CellDocument> = z
  .lazy(() => z.union([z.string(), z.number(), z.array(cell), z.record(z.string(), cell)]))
  .meta({ id: "Cell", description: "a field of a row" });
const cells = z.record(z.string(), cell);

const peer = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("device"),
    device: z.string(),
    delivery: z.enum(["peer", "redirect", "receive", "neigh"]).describe("how packets are delivered to the device"),
  }),
  z
    .object({ kind: z.literal("tunnel"), device: z.string() })
    .describe("a tunnel device; the tunnel of the destination node is a row of `weir_tunnels`"),
  z.object({ kind: z.literal("port"), port: z.string().describe("`instance:port`") }),
  z.object({ kind: z.literal("stack") }),
  z
    .object({ kind: z.literal("back"), device: z.string() })
    .describe("a device of another network, to which all packets return"),
  z
    .object({ kind: z.literal("sockets"), device: z.string() })
    .describe("a device of the node, to which packets of a host-network pod's sockets return"),
  z.object({ kind: z.literal("none") }),
]);

const link = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("pod"),
    device: z.string(),
    netns: z.string(),
    ifname: z.string(),
    mac: z.string(),
    ips: z.array(z.string()),
    gateways: z.array(z.string()),
    gatewayMac: z.string(),
    mtu: field.count.describe("bytes at layer 3"),
  }),
  z.object({
    kind: z.literal("pair"),
    device: z.string(),
    other: z.string(),
    mac: z.string(),
    mtu: field.count,
    ipv6: z.boolean().describe("the first end has IPv6 enabled, for the node's own packets"),
    offloads: z.boolean().describe("segmentation offloads; off: packets are segmented to wire size"),
    qdisc: z.enum(["fq"]).optional().describe("of the first end; `fq` holds packets until their time"),
    resume: z.boolean().describe("packets from the second end continue at the hop in their mark"),
  }),
  z.object({ kind: z.literal("vxlan"), device: z.string(), port: field.count, vni: field.count, mtu: field.count }),
]);

export const topology = z
  .object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal("Topology"),
    metadata: z.object({ name: z.string().describe("the node") }),
    spec: z.object({
      links: z.array(link).describe("devices that Weir creates"),
      routes: z
        .array(
          z.object({
            cidr: z.string(),
            device: z.string(),
            via: z.string().optional().describe("next hop; absent: directly on the device's link"),
            source: z.string().optional().describe("source address of the node's own packets"),
          }),
        )
        .describe("kernel routes of the node"),
      instances: z
        .array(z.object({ name: z.string(), function: z.string(), program: z.string().optional() }))
        .describe("network functions in use"),
      ports: z
        .array(
          z.object({
            instance: z.string(),
            name: z.string(),
            peer,
            entry: z.string().optional().describe("device whose received packets enter the panel here"),
            ingress: z.array(z.string()).describe("transparent functions into the port's function, in order"),
            egress: z.array(z.string()).describe("transparent functions out of it, in order"),
          }),
        )
        .describe("ports of standard functions"),
      shapers: z
        .array(
          z.object({
            instance: z.string().describe("of the limit"),
            device: z.string(),
            rate: field.rate.describe("bit/s at layer 3"),
            mtu: field.count,
            sender: z.string().optional().describe("host-side device of the only pod whose packets are shaped"),
          }),
        )
        .describe("classes on the shaping devices"),
      leases: z
        .array(
          z.object({
            instance: z.string(),
            seconds: z.number().describe("seconds until it ends after its last renewal"),
            until: z.number().optional().describe("ms since the epoch at which it ends, renewed or not"),
          }),
        )
        .describe("leases of instances, which end unless they are renewed"),
      rows: z
        .array(z.object({ table: z.string().describe("the map's name"), key: cells, value: cells }))
        .describe("rows of the functions' tables, fields as in their C structs"),
    }),
  })
  .meta({ id: "Topology", description: "desired state of one node" });

export type Topology = z.infer<typeof topology>;

/** Converts the document to JSON types. Pure; items keep their order. */
export function topologyDocument(node: string, document: Document): Topology {
  const { links, routes, instances, ports, shapers, leases, rows } = document;
  return topology.parse({
    apiVersion,
    kind: "Topology",
    metadata: { name: node },
    spec: {
      links,
      routes,
      instances,
      ports,
      shapers,
      leases,
      rows: rows.map(({ table, key, value }) => ({ table, key: encodeFields(key), value: encodeFields(value) })),
    } satisfies Record<keyof Document, unknown>,
  });
}

function encodeFields(fields: RowFields): Record<string, CellDocument> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, encodeCell(value)]));
}

function encodeCell(value: RowValue): CellDocument {
  if (typeof value === "string" || typeof value === "number") return value;
  if (typeof value === "bigint") {
    return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= 0n ? Number(value) : { integer: value.toString() };
  }
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(encodeCell);
  return encodeFields(value as RowFields);
}
