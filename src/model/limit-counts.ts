import { delayedOf, WAIT_ENDS, type Waits, waitAt } from "./waits.ts";

/** Packets as on the wire, bytes at layer 3. */
export interface Amount {
  packets: number;
  bytes: number;
}

/** Counters of a limit's program at one time. */
export interface LimitUse {
  received: Amount;
  sent: Amount;
  refused: Amount;
  marked: number;
  waits: Waits;
}

/** Counters of a limit: `received` = `sent` + `dropped` + `queued` + `lost`, exactly. */
export interface LimitCounts {
  received: Amount | null;
  sent: Amount | null;
  dropped: Amount | null;
  queued: Amount | null;
  lost: Amount | null;
  marked: number | null;
  delayed: number | null;
  wait: { p50: number | null; p99: number | null };
  waits: number[] | null;
}

/** For a limit that is not in the datapath. */
export const NOT_COUNTED: Readonly<LimitCounts> = {
  ...{ received: null, sent: null, dropped: null, queued: null, lost: null, marked: null, delayed: null },
  wait: { p50: null, p99: null },
  waits: null,
};

const NONE: Amount = { packets: 0, bytes: 0 };
/** For a limit in the datapath, before the first packet. */
export const NOTHING_YET: Readonly<LimitCounts> = {
  ...{ received: NONE, sent: NONE, dropped: NONE, queued: NONE, lost: NONE, marked: 0, delayed: 0 },
  wait: { p50: null, p99: null },
  waits: [...WAIT_ENDS, 0].map(() => 0),
};

/** The most readings while counters change. */
const READINGS = 8;

/**
 * Reads a limit's counters consistently with the queue.
 * @param read returns the counters
 * @param waiting returns the datapath's queued bytes; only called if some packets have not left
 */
export function limitCounts(read: () => LimitUse, waiting: () => number): LimitCounts {
  let use = read();
  for (let reading = 0; reading < READINGS && held(use).bytes > 0; reading++) {
    const bytes = waiting();
    const after = read();
    // no packet arrived or left between the readings, so the queue was the same
    if (isSame(use, after)) return counts(after, bytes);
    use = after;
  }
  return counts(use, Number.POSITIVE_INFINITY);
}

/** Packets that arrived and were neither sent on nor refused. May be off by one while a packet is being counted. */
function held({ received, sent, refused }: LimitUse): Amount {
  const rest = (unit: keyof Amount): number => Math.max(0, received[unit] - sent[unit] - refused[unit]);
  return { packets: rest("packets"), bytes: rest("bytes") };
}

function isSame(a: LimitUse, b: LimitUse): boolean {
  return (["received", "sent", "refused"] as const).every((name) => a[name].bytes === b[name].bytes);
}

function counts(use: LimitUse, waiting: number): LimitCounts {
  const { sent, refused, marked, waits } = use;
  const all = held(use);
  const queued = queuedOf(all, waiting);
  return {
    received: { packets: sent.packets + refused.packets + all.packets, bytes: sent.bytes + refused.bytes + all.bytes },
    sent,
    dropped: refused,
    queued,
    lost: { packets: all.packets - queued.packets, bytes: all.bytes - queued.bytes },
    marked,
    delayed: delayedOf(waits),
    wait: { p50: waitAt(waits, 0.5), p99: waitAt(waits, 0.99) },
    waits: [...waits],
  };
}

/** The datapath counts queued bytes; packets are estimated assuming equal sizes. */
function queuedOf(all: Amount, waiting: number): Amount {
  if (waiting >= all.bytes) return all;
  return { packets: Math.round((all.packets * waiting) / all.bytes), bytes: waiting };
}
