import { apiVersion } from "../../model/version.ts";
import type { Resource } from "./resource.ts";

export interface Followed extends Resource {
  /** For CRDs, which the cluster may not have. */
  optional?: boolean;
}

/** The kinds that agents and labs follow. */
export const FOLLOWED: readonly Followed[] = [
  { apiVersion: "v1", kind: "Pod", plural: "pods" },
  { apiVersion: "v1", kind: "Node", plural: "nodes" },
  { apiVersion: "v1", kind: "Namespace", plural: "namespaces" },
  { apiVersion: "v1", kind: "Service", plural: "services" },
  { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", plural: "endpointslices" },
  { apiVersion, kind: "Limit", plural: "limits", optional: true },
  { apiVersion, kind: "Impairment", plural: "impairments", optional: true },
];
