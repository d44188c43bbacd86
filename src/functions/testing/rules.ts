import type { LimitRule } from "../../model/limits.ts";

/** A limit. @param rate bit/s */
export const limitRule = (direction: LimitRule["direction"], rate: number): LimitRule => ({
  direction,
  rate,
  source: "test",
  configured: String(rate),
});
