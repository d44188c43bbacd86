import { functions } from "../functions/index.ts";
import type { ClusterState } from "../model/cluster.ts";
import { compose } from "../model/compose.ts";
import type { DesiredState } from "../model/desired.ts";

export { functions };

/** What this node should hold, given what is known of the cluster. Pure. */
export function plan(state: ClusterState): DesiredState {
  return compose(functions.map((fn) => fn.desired(state)));
}
