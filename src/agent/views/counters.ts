import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import type { Panel } from "../../datapath/panel.ts";
import { idKey } from "../../datapath/tables.ts";
import { dropReasons } from "../../model/drops.ts";
import type { PortCounters } from "./ports.ts";

type Count = { packets: number; bytes: number };

/** Adds up the CPUs' slots of a per-CPU row: `width` bytes each, pairs of 64-bit packets and bytes. */
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

/** What each port has carried, by full name. */
export function portCounters(panel: Panel): Map<string, PortCounters> {
  const table = panel.table("weir_ports");
  const counters = new Map<string, PortCounters>();
  for (const [id, name] of panel.names.all("port")) {
    const [received, sent] = sumCounts(table.lookup(idKey(id)) ?? Buffer.alloc(0), 32);
    if (received && sent) counters.set(name, { received, sent });
  }
  return counters;
}

/** Drops by port and reason, most packets first. */
export function dropItems(panel: Panel): Plain<schema.Drop>[] {
  const table = panel.table("weir_drops");
  const ports = panel.names.all("port");
  const items = table.entries().map(([key, value]) => {
    const { port, reason } = table.key.decode(key) as { port: number; reason: number };
    const [count = { packets: 0, bytes: 0 }] = sumCounts(value, 16);
    const known = dropReasons[reason];
    return {
      port: ports.get(port) ?? "-",
      reason: known?.name ?? `reason_${reason}`,
      description: known?.meaning ?? "",
      ...count,
    };
  });
  return items.toSorted((a, b) => b.packets - a.packets);
}
