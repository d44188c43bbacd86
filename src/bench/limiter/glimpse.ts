/** One reading of a rule's receipt. */
export interface Glimpse {
  /** Time of the answer, ms of CLOCK_MONOTONIC. */
  time: number;
  /** Value in force: probability, seconds or a macro's value; null: there is no such rule. */
  value: number | null;
  packets: number;
  /** Lost or dropped. */
  hits: number;
  delayed: number;
  /** Sum of the times that they waited, s. */
  waited: number;
  /** Whether the node enforces the rule. While a program is built, the one before stays in force. */
  enforced: boolean;
  /** Bytes at layer 3 of the datagrams that the sender's kernel has sent. */
  offered: number;
}
