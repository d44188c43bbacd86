/** A problem of an object, shown on the object and in `weir status`. */
export interface Problem {
  /** `Kind/namespace/name`, or a file. */
  object: string;
  /** Field, e.g. `metadata.annotations["bandwidth"]`. */
  path?: string | undefined;
  /** Set if the value of this rule's key is invalid. */
  invalidKey?: { map: "annotations" | "labels"; key: string } | undefined;
  message: string;
  /** Default: `error`. `skipped`: something that Weir does not do. */
  severity?: "error" | "warning" | "skipped" | undefined;
  /** Position in a manifest: `file:line:column`. */
  at?: string | undefined;
  /** Set if a pod's rules are not in force because Weir found no device or cgroup of it: the reason alone. */
  notFound?: string | undefined;
}
