/** Kubernetes objects as far as Weir reads them. Shapes follow the Kubernetes API; unknown fields are kept out. */

export interface Metadata {
  name: string;
  namespace?: string | undefined;
  uid?: string | undefined;
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  resourceVersion?: string | undefined;
}

export interface Container {
  name: string;
  image?: string | undefined;
  command: readonly string[];
  args: readonly string[];
  env: readonly { name: string; value: string }[];
  workingDir?: string | undefined;
}

/** One pod, bound (`nodeName`) or not. `owner` is the workload that it was expanded from, as `Kind/name`. */
export interface Pod {
  kind: "Pod";
  metadata: Metadata & { namespace: string };
  nodeName?: string | undefined;
  hostNetwork: boolean;
  containers: readonly Container[];
  restartPolicy: "Always" | "OnFailure" | "Never";
  owner?: string | undefined;
}

/** A cluster node: where its pods' addresses come from and where its tunnel ends. */
export interface Node {
  kind: "Node";
  metadata: Metadata;
  /** Underlay addresses, at most one of each family. */
  addresses: readonly string[];
  /** Pod CIDRs, at most one of each family, e.g. `10.244.1.0/24`, `fd00:10:244:1::/64`. */
  podCIDRs: readonly string[];
}

export interface Namespace {
  kind: "Namespace";
  metadata: Metadata;
}

export interface ConfigMap {
  kind: "ConfigMap";
  metadata: Metadata & { namespace: string };
  data: Readonly<Record<string, string>>;
}

export type ClusterObject = Pod | Node | Namespace | ConfigMap;

/** Something that a source could not take, and why. Shown on the object and in `weir status`. */
export interface Problem {
  object: string; // Kind/namespace/name, or the file
  path?: string | undefined; // field, e.g. `metadata.annotations["bandwidth"]`
  message: string;
}
