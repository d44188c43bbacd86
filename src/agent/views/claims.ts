import type { PodPort } from "../../model/cluster.ts";
import { claimOf } from "../../reconcile/composer.ts";

/** Owners of the items that a pod's rules and its network are made of, as the authors of the document name them. */

/** What a pod's rules stand on: its network, or where its packets are seen. */
export const networkClaims = (pod: string): string[] => [
  claimOf("pods", `${pod} network`),
  claimOf("tapped", `${pod} network`),
];

export const limitClaim = ({ key }: PodPort, direction: string): string => claimOf("limits", `${key} ${direction}`);

export const impairmentClaim = ({ key }: PodPort, direction: string, id: string): string =>
  claimOf("impairments", `${key} ${direction} ${id}`);

export const programClaim = ({ key }: PodPort, direction: string): string => claimOf("programs", `${key} ${direction}`);
