import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import { NO_PORT } from "../../datapath/layout.ts";
import type { Panel } from "../../datapath/panel.ts";
import { idKey } from "../../datapath/tables.ts";
import { dropReasons } from "../../model/drops.ts";
import type { PortCounters } from "./ports.ts";

/** `WEIR_INGRESS`: into the port, i.e. sent by the pod. */
const INTO_THE_PORT = 0;

type Count = { packets: number; bytes: number };

/** Sums a per-CPU row. @param width bytes of a CPU's value, which is pairs of 64-bit packets and bytes */
export function sumCounts(row: Buffer, width: number): Count[] {
  const sums: Count[] = [];
  for (let at = 0; at + 16 <= row.length; at += 16) {
    const index = (at % width) / 16;
    sums[index] ??= { packets: 0, bytes: 0 };
    sums[index].packets += Number(row.readBigUInt64LE(at));
    sums[index].bytes += Number(row.readBigUInt64LE(at + 8));
  }
  return sums;
}

/** Counters of each port, by full name. */
export function portCounters(panel: Panel): Map<string, PortCounters> {
  const table = panel.table("weir_ports");
  const counters = new Map<string, PortCounters>();
  for (const [id, name] of panel.names.all("port")) {
    const [received, sent] = sumCounts(table.lookup(idKey(id)) ?? Buffer.alloc(0), 32);
    if (received && sent) counters.set(name, { received, sent });
  }
  return counters;
}

/**
 * Drops by port, direction and reason, most packets first.
 * @param pods full names of pods' ports, for which the direction is the pod's
 */
export function dropItems(panel: Panel, pods: ReadonlySet<string>): Plain<schema.Drop>[] {
  const table = panel.table("weir_drops");
  const ports = panel.names.all("port");
  const items = new Map<string, Plain<schema.Drop>>();
  for (const [key, value] of table.entries()) {
    const {
      port: id,
      reason,
      direction: chain,
    } = table.key.decode(key) as Record<"port" | "reason" | "direction", number>;
    const [{ packets, bytes } = { packets: 0, bytes: 0 }] = sumCounts(value, 16);
    const port = id === NO_PORT ? "-" : (ports.get(id) ?? "gone");
    const direction = pods.has(port) ? (chain === INTO_THE_PORT ? "egress" : "ingress") : null;
    const { name, meaning } = dropReasons[reason] ?? { name: `reason_${reason}`, meaning: "" };
    const text = `${port} ${direction} ${name}`;
    const known = items.get(text) ?? { port, direction, reason: name, description: meaning, packets: 0, bytes: 0 };
    items.set(text, { ...known, packets: known.packets + packets, bytes: known.bytes + bytes });
  }
  return [...items.values()].toSorted((a, b) => b.packets - a.packets);
}
