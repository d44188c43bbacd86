import type { PodPort } from "../../model/node-context.ts";
import { claimOf } from "../../reconcile/composer.ts";

/** Owner ids of the fragments of a pod's rules and network, as the document's authors name them. */

/** The fragments that a pod's rules depend on: of its network, or of its tap. */
export const networkClaims = (pod: string): string[] => [
  claimOf("pods", `${pod} network`),
  claimOf("tapped", `${pod} network`),
];

export const limitClaim = ({ key }: PodPort, direction: string): string => claimOf("limits", `${key} ${direction}`);

export const impairmentClaim = ({ key }: PodPort, direction: string, id: string): string =>
  claimOf("impairments", `${key} ${direction} ${id}`);

export const programClaim = ({ key }: PodPort, direction: string): string => claimOf("programs", `${key} ${direction}`);
