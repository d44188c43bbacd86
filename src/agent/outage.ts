import type { Trouble } from "../sources/manifests/index.ts";

/** What sources told may be out of date for so long before the agent counts as degraded, ms. */
const PATIENCE = 60_000;

/** Why what is in force may not be what was asked for: a source that has been away, or has refused, for long. */
export function outageOf(troubles: readonly Trouble[], now: number): string | undefined {
  const long = troubles.find(({ staleSince }) => staleSince !== undefined && now - staleSince >= PATIENCE);
  if (long?.staleSince === undefined) return undefined;
  return `${long.message} (since ${new Date(long.staleSince).toISOString()})`;
}
