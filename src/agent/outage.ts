import type { Trouble } from "../sources/manifests/index.ts";

/** How long a source may be out of date before the agent is degraded, ms. */
const PATIENCE = 60_000;

/** Why the state in force may be out of date: a source that has failed for a long time. */
export function outageOf(troubles: readonly Trouble[], now: number): string | undefined {
  const long = troubles.find(({ staleSince }) => staleSince !== undefined && now - staleSince >= PATIENCE);
  if (long?.staleSince === undefined) return undefined;
  return `${long.message} (since ${new Date(long.staleSince).toISOString()})`;
}
