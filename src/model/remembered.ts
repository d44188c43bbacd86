import type { ByKey } from "./keyed.ts";
import type { PodRules } from "./limits.ts";
import type { ParsedLoss } from "./losses.ts";
import type { ParsedProgram } from "./program-rules.ts";

/** Last valid rules of an object's labels and annotations, kept across restarts. Plain data. */
export interface Remembered extends PodRules {
  losses?: ByKey<ParsedLoss> | undefined;
  programs?: ByKey<ParsedProgram> | undefined;
}

/** By `namespace/name` of a pod, or `Service/namespace/name`. */
export type LastGood = ReadonlyMap<string, Remembered>;
