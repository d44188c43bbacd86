import type { Table } from "../tables.ts";

/** Packets dropped at a port for a reason, in both directions. @param table `weir_drops` */
export function droppedAt(table: Table, port: number, reason: number): number {
  let packets = 0;
  for (const [key, row] of table.entries()) {
    const of = table.key.decode(key);
    if (of["port"] !== port || of["reason"] !== reason) continue;
    for (let at = 0; at < row.length; at += 16) packets += Number(row.readBigUInt64LE(at));
  }
  return packets;
}
