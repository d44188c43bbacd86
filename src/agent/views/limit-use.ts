import type { Panel } from "../../datapath/panel.ts";
import { type LimitCounts, type LimitUse, limitCounts } from "../../model/limit-counts.ts";

type Fields = Readonly<Record<string, unknown>>;
interface Leaf {
  bytes: number;
  left: bigint;
}

/** All leaves of a slow limit take their turn in so many bits: `WEIR_LIMIT_ROUND`. */
const ROUND_BITS = 8 * 16_384;
/** A backlog that nothing leaves for so long and a round is none, s: its queue was removed. `WEIR_LIMIT_STALE`. */
const STALE = 0.4;

/** A limit's row of counters; undefined if nothing has come to it yet. */
export function readUse(panel: Panel, id: number): Fields | undefined {
  const uses = panel.tables.get("weir_limit_use");
  const row = uses?.lookup(uses.key.encode({ instance: id }));
  return row && uses ? uses.value.decode(row) : undefined;
}

/** What a limit counted, by the id of its instance; undefined if nothing has come to it yet. `rate`: its own, bit/s. */
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

/** Bytes that wait in a limit's leaves. */
function waitingOf(panel: Panel, id: number, rate: number): number {
  const queues = panel.tables.get("weir_limit_queue");
  const row = queues?.lookup(queues.key.encode({ instance: id }));
  if (!row || !queues) return 0;
  // the kernel's ktime is the clock that node counts with
  const stale = process.hrtime.bigint() - BigInt(Math.round(1e9 * STALE + ROUND_BITS / rate));
  const leaves = queues.value.decode(row)["leaves"] as unknown as readonly Leaf[];
  return leaves.reduce((sum, { bytes, left }) => sum + (bytes > 0 && left > stale ? bytes : 0), 0);
}
