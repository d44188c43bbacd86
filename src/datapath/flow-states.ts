/** States of a flow: `enum weir_flow_state` in `bpf/flow.h`, in its order. */
export const FLOW_STATES = [
  "none",
  "tcp-new",
  "tcp-replied",
  "tcp-established",
  "tcp-half-closed",
  "tcp-closed",
  "tcp-reset",
  "udp-new",
  "udp-established",
  "icmp-echo",
  "other-new",
  "other-established",
  "fragments",
] as const;
export type FlowState = (typeof FLOW_STATES)[number];

/** Seconds without a packet after which a flow expires. As in nf_conntrack, except for half-closed connections. */
export const FLOW_TIMEOUTS: Readonly<Record<FlowState, number>> = {
  none: 30,
  "tcp-new": 120,
  "tcp-replied": 60,
  "tcp-established": 432_000,
  "tcp-half-closed": 432_000, // the open side may send again much later
  "tcp-closed": 120,
  "tcp-reset": 10,
  "udp-new": 30,
  "udp-established": 180,
  "icmp-echo": 30,
  "other-new": 600,
  "other-established": 600,
  fragments: 5,
};

/** `WEIR_FLOW_STATES`: the number of timeouts in the table's row. */
const SLOTS = 16;
/** `WEIR_FLOW_UNIT`: nanoseconds in a unit of the table's time, as a power of two. */
const UNIT_SHIFT = 27;

/** The table's time: 32 bits, in units of 2^27 ns of the monotonic clock. */
export const flowTime = (): number => Number(BigInt.asUintN(32, process.hrtime.bigint() >> BigInt(UNIT_SHIFT)));

/** Converts seconds to units of the table's time, at least one. */
export const flowUnits = (seconds: number): number => Math.max(1, Math.round((seconds * 1e9) / 2 ** UNIT_SHIFT));

/** Seconds between two times of the table; negative if `to` is before `from`. */
export const flowSeconds = (from: number, to: number): number => (((to - from) | 0) * 2 ** UNIT_SHIFT) / 1e9;

/** The table's row of timeouts, in units, by state. */
export function timeoutsOf(seconds: Readonly<Record<FlowState, number>>): number[] {
  return Array.from({ length: SLOTS }, (_, i) => flowUnits(seconds[FLOW_STATES[i] ?? "none"]));
}
