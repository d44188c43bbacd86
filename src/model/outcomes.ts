/** Why an item is not in force, or is degraded. */
export interface Outcome {
  /** Owner id, as in changes of the document. */
  owner: string;
  /** Stable, for programs; `message` is for people. */
  code: OutcomeCode;
  message: string;
  severity: "error" | "warning";
}

export type OutcomeCode =
  /** Another owner's item takes precedence. */
  | "conflict"
  /** It is attached to a port that does not exist. */
  | "no-port"
  /** The chain of its port is full. */
  | "chain-full"
  /** It refers to a port, instance or shaper that does not exist. */
  | "missing"
  /** It cannot be planned, or a field does not fit the struct. */
  | "encode"
  /** The map is full. */
  | "full"
  /** All ids of its kind are in use. */
  | "no-id"
  /** It needs a device that does not exist. */
  | "no-device"
  /** Somebody removed or changed it; the next pass mends it. */
  | "lost"
  /** The kernel refused it. */
  | "kernel"
  /** The kernel lacks something: it works, but less well. */
  | "degraded";
