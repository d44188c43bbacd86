import type { Problem } from "../../model/problem.ts";

/** A remark about a field of an object. */
export interface Remark {
  field: readonly PropertyKey[];
  message: string;
  severity?: Problem["severity"];
}
