import type { Panel } from "../../datapath/panel.ts";
import { type LimitCounts, type LimitUse, limitCounts } from "../../model/limit-counts.ts";

type Fields = Readonly<Record<string, unknown>>;
interface Leaf {
  bytes: number;
  left: bigint;
}

/** `WEIR_LIMIT_ROUND`, in bits: a round of a slow limit's leaves. */
const ROUND_BITS = 8 * 16_384;
/**
 * `WEIR_LIMIT_STALE`, s: a backlog from which nothing leaves for this time and one round counts as gone, since its
 * queue was removed.
 */
const STALE = 0.4;

/** A limit's counters; undefined before the first packet. */
export function readUse(panel: Panel, id: number): Fields | undefined {
  const uses = panel.tables.get("weir_limit_use");
  const row = uses?.lookup(uses.key.encode({ instance: id }));
  return row && uses ? uses.value.decode(row) : undefined;
}

/**
 * What a limit has counted; undefined before the first packet. @param id of its instance @param rate of the limit,
 * bit/s
 */
export function countedBy(panel: Panel, id: number, rate: number): LimitCounts | undefined {
  if (readUse(panel, id) === undefined) return undefined;
  return limitCounts(
    () => useOf(readUse(panel, id) ?? {}),
    () => waitingOf(panel, id, rate),
  );
}

function useOf(fields: Fields): LimitUse {
  const count = (name: string): number => Number(fields[name] ?? 0);
  const waits = (fields["waits"] ?? []) as readonly bigint[];
  const amount = (prefix: string) => ({ packets: count(`${prefix}packets`), bytes: count(`${prefix}bytes`) });
  return {
    received: amount("received_"),
    sent: amount(""),
    refused: amount("refused_"),
    marked: count("marked_packets"),
    waits: waits.map(Number),
  };
}

/** Queued bytes in a limit's leaves. */
function waitingOf(panel: Panel, id: number, rate: number): number {
  const queues = panel.tables.get("weir_limit_queue");
  const row = queues?.lookup(queues.key.encode({ instance: id }));
  if (!row || !queues) return 0;
  // hrtime is the kernel's ktime
  const stale = process.hrtime.bigint() - BigInt(Math.round(1e9 * STALE + ROUND_BITS / rate));
  const leaves = queues.value.decode(row)["leaves"] as unknown as readonly Leaf[];
  return leaves.reduce((sum, { bytes, left }) => sum + (bytes > 0 && left > stale ? bytes : 0), 0);
}
