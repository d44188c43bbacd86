import { podKey } from "../model/names.ts";
import type { PodAttachment } from "../model/node-context.ts";
import type { OutcomeCode } from "../model/outcomes.ts";
import type { Agent } from "./agent.ts";
import { networkClaims } from "./views/claims.ts";

/** Why a pod's network is not in force. */
export interface NetworkFault {
  /** Caused by this pod's own values, so it is permanent; else by the node, which may recover. */
  own: boolean;
  message: string;
}

/** Permanent outcomes. */
const OWN: ReadonlySet<OutcomeCode> = new Set(["kernel", "conflict", "encode"]);

/**
 * Returns why a pod's network (its device, port and rows) is not in force after the last pass. Its rules are not
 * considered.
 */
export function networkFault({ standing, planner }: Agent, endpoint: PodAttachment): NetworkFault | undefined {
  const own = standing.outcomeOf(...networkClaims(podKey(endpoint)));
  if (own) return { own: OWN.has(own.code), message: own.message };
  const node = standing.faultOf();
  if (node !== undefined) return { own: false, message: node };
  const isPlanned = planner.composer.links.has(endpoint.device);
  return isPlanned ? undefined : { own: false, message: "no pass has made it" };
}
