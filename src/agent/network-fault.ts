import type { Endpoint } from "../model/cluster.ts";
import { podKey } from "../model/names.ts";
import type { OutcomeCode } from "../model/outcomes.ts";
import type { Agent } from "./agent.ts";
import { networkClaims } from "./views/claims.ts";

/** Why a pod's network is not in force. */
export interface NetworkFault {
  /** The kernel refused what is this pod's alone; else it is the node's trouble, which may pass. */
  own: boolean;
  message: string;
}

/** What does not pass by itself. */
const OWN: ReadonlySet<OutcomeCode> = new Set(["kernel", "conflict", "encode"]);

/** What the last pass came to for one pod's network: its device, its port, and its rows. Rules are no part of it. */
export function networkFault({ standing, planner }: Agent, endpoint: Endpoint): NetworkFault | undefined {
  const own = standing.outcomeOf(...networkClaims(podKey(endpoint)));
  if (own) return { own: OWN.has(own.code), message: own.message };
  const node = standing.faultOf();
  if (node !== undefined) return { own: false, message: node };
  const isPlanned = planner.composer.links.has(endpoint.device);
  return isPlanned ? undefined : { own: false, message: "no pass has made it" };
}
