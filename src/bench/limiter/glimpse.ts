/** One look at a rule's receipt. */
export interface Glimpse {
  /** ms of CLOCK_MONOTONIC at which it was answered. */
  time: number;
  /** What is in force: probability, seconds, a macro's value; null: there is no such rule. */
  value: number | null;
  packets: number;
  /** Lost or dropped. */
  hits: number;
  delayed: number;
  /** s that those waited, together. */
  waited: number;
  /** Does the node do what is asked? A program that is being made is not in force, and the one before still is. */
  enforced: boolean;
  /** Bytes at layer 3 of the datagrams that the sender's kernel has sent. */
  offered: number;
}
