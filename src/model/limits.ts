/** A bandwidth limit of one pod in one direction, as its author wrote it. Directions are the pod's. */
export interface LimitRule {
  direction: "ingress" | "egress";
  /** bit/s at layer 3. */
  rate: number;
  /** Which key it came from: `bandwidth`, `rate`, `kubernetes.io/ingress-bandwidth`, … */
  source: string;
  /** The value as written. */
  configured: string;
}
