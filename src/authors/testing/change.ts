import type { RuleSettings } from "../../model/limits.ts";
import type { HostPod, NodeContext, PodAttachment, Tap } from "../../model/node-context.ts";
import type { ManifestObject } from "../../model/objects.ts";
import type { ProgramInForce } from "../../model/programs.ts";
import type { Remembered } from "../../model/remembered.ts";
import type { NODE } from "../cluster.ts";
import type { Planner } from "../planner.ts";

/** One change of an input of planning, as plain data. A missing `value` means deleted. */
export type RandomChange =
  /** @prop key `Kind/namespace/name` */
  | { of: "object"; key: string; value?: ManifestObject | undefined }
  | { of: "attachment"; key: string; value?: PodAttachment | undefined }
  | { of: "tap"; key: string; value?: Tap | undefined }
  | { of: "host pod"; key: string; value?: HostPod | undefined }
  | { of: "build"; key: string; value?: readonly ProgramInForce[] | undefined }
  | { of: "node"; key: typeof NODE; value: NodeContext }
  /** An agent starts again, and finds these last valid rules of one object written down. */
  | { of: "last good"; key: string; value?: Remembered | undefined }
  /** It starts again with these settings. */
  | { of: "restart"; key: "agent"; value: RuleSettings }
  /** A dry run of these changes, which are then reverted. */
  | { of: "dry run"; key: "agent"; value: readonly RandomChange[] };

/** Changes whose effect is all in one pass: they are followed by one at this time, ms since the epoch. */
export interface RandomPass {
  now: number;
  changes: readonly RandomChange[];
}

/** Of two changes with the same subject, the later replaces the earlier. */
export const subjectOf = ({ of, key }: RandomChange): string => `${of} ${key}`;

/** What a change is called where changes are counted. */
export function kindOf({ of, key, value }: RandomChange): string {
  const what = of === "object" ? key.slice(0, key.indexOf("/")) : of;
  return value === undefined ? `${what} deleted` : what;
}

/** Applies a change to a planner. Restarts and dry runs are the caller's to make. */
export function tell(planner: Planner, change: RandomChange): void {
  const { cluster } = planner;
  const write = <T>(rows: { set(key: string, row: T): unknown; delete(key: string): unknown }, row: T | undefined) =>
    void (row === undefined ? rows.delete(change.key) : rows.set(change.key, row));
  if (change.of === "object") cluster.put(change.key, change.value);
  else if (change.of === "attachment") cluster.putAttachment(change.key, change.value);
  else if (change.of === "tap") write(cluster.taps, change.value);
  else if (change.of === "host pod") write(cluster.hosts, change.value);
  else if (change.of === "build") write(cluster.builds, change.value);
  else if (change.of === "node") write(cluster.node, change.value);
  else if (change.of === "last good") write(cluster.lastGood, change.value);
}
