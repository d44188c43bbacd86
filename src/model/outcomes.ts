/** What became of something that an object wants, where it is not in force or not as good as it should be. */
export interface Outcome {
  /** Whose it is, as changes of the document name it. */
  owner: string;
  /** Stable, for programs; the message is for people. */
  code: OutcomeCode;
  message: string;
  severity: "error" | "warning";
}

export type OutcomeCode =
  /** Another object has it, and comes first. */
  | "conflict"
  /** It is attached to a port that does not exist. */
  | "no-port"
  /** The chain of its port holds no more functions. */
  | "chain-full"
  /** It names a port, an instance or a shaper that does not exist. */
  | "missing"
  /** Its fields do not fit the struct. */
  | "encode"
  /** A map is full. */
  | "full"
  /** All ids of its kind are in use. */
  | "no-id"
  /** It waits for a device that does not exist. */
  | "no-device"
  /** Somebody removed or changed it; the next pass mends it. */
  | "lost"
  /** The kernel refused it. */
  | "kernel"
  /** The kernel lacks something: it works, but less well. */
  | "degraded";
