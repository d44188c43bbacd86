import type { PortRows } from "./compile.ts";
import { CHAIN_HOPS, CHAINS, type Chain, type Hop, OPS, PORT_HOPS } from "./layout.ts";
import type { Table } from "./tables.ts";

export interface PanelTables {
  config: Table;
  hops: Table;
  courses: Table;
  devices: Table;
  near: Table;
}

/**
 * Encodes the row of a port in `weir_hops`.
 * @param courses course ids by chain
 * @param isClosed the row has its courses, but every hop drops packets
 */
export function encodePort(
  table: Table,
  rows: PortRows,
  courses: Readonly<Record<Chain, number>>,
  isClosed = false,
): Buffer {
  const hop: object[] = Array.from({ length: PORT_HOPS }, () => ({}));
  for (const [i, chain] of CHAINS.entries()) {
    for (const [at, one] of rows[chain].entries()) {
      const op = isClosed ? 0 : OPS.indexOf(one.op);
      hop[i * CHAIN_HOPS + at] = { ...one, op, flags: one.flags ?? 0, course: courses[chain] };
    }
  }
  return table.value.encode({ hop });
}

/** The course ids in a port's row. */
export function decodeCourses(table: Table, block: Buffer): Record<Chain, number> {
  const { hop } = table.value.decode(block) as { hop: (Hop & { course?: number })[] };
  return { ingress: hop[0]?.course ?? 0, egress: hop[CHAIN_HOPS]?.course ?? 0 };
}
