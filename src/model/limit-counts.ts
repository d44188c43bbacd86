import { delayedOf, WAIT_ENDS, type Waits, waitAt } from "./waits.ts";

/** Packets as on the wire, bytes at layer 3. */
export interface Amount {
  packets: number;
  bytes: number;
}

/** What a limit's program has counted at one moment. */
export interface LimitUse {
  received: Amount;
  sent: Amount;
  refused: Amount;
  marked: number;
  waits: Waits;
}

/** What a limit did with all that came to it: `received` is `sent` + `dropped` + `queued` + `lost`, exactly. */
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

/** Of a limit that is not in the datapath. */
export const NOT_COUNTED: Readonly<LimitCounts> = {
  ...{ received: null, sent: null, dropped: null, queued: null, lost: null, marked: null, delayed: null },
  wait: { p50: null, p99: null },
  waits: null,
};

const NONE: Amount = { packets: 0, bytes: 0 };
/** Of a limit that is in the datapath, before the first packet. */
export const NOTHING_YET: Readonly<LimitCounts> = {
  ...{ received: NONE, sent: NONE, dropped: NONE, queued: NONE, lost: NONE, marked: 0, delayed: 0 },
  wait: { p50: null, p99: null },
  waits: [...WAIT_ENDS, 0].map(() => 0),
};

/** Readings of counters that move are repeated so often. */
const READINGS = 8;

/**
 * Reads a limit's counters together with what waits.
 * @param read the counters now
 * @param waiting bytes that wait by the datapath's account; asked only if not all that came has gone
 */
export function limitCounts(read: () => LimitUse, waiting: () => number): LimitCounts {
  let use = read();
  for (let reading = 0; reading < READINGS && held(use).bytes > 0; reading++) {
    const bytes = waiting();
    const after = read();
    // nothing came or went between the two readings, so this is what waited at both
    if (isSame(use, after)) return counts(after, bytes);
    use = after;
  }
  return counts(use, Number.POSITIVE_INFINITY);
}

/** What came and has neither been sent on nor refused. Counters that are read while a packet is counted may be one ahead. */
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

/** The datapath's account is in bytes; where only a part waits, packets are taken to be of one size. */
function queuedOf(all: Amount, waiting: number): Amount {
  if (waiting >= all.bytes) return all;
  return { packets: Math.round((all.packets * waiting) / all.bytes), bytes: waiting };
}
