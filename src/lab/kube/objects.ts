/** Kubernetes objects as the API returns them: the fields that a lab on a Kubernetes API reads. */

export interface ApiObject {
  metadata: ApiMetadata;
}

export interface ApiMetadata {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  labels?: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
  /** RFC 3339; set once the object's deletion has been requested. */
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
}

export interface Toleration {
  key?: string;
  operator?: string;
  value?: string;
  effect?: string;
}

export interface Taint {
  key: string;
  value?: string;
  effect: string;
}

export interface Requirement {
  key: string;
  operator: string;
  values?: readonly string[];
}

export interface SelectorTerm {
  matchExpressions?: readonly Requirement[];
  matchFields?: readonly Requirement[];
}

export interface Condition {
  type: string;
  status: string;
  lastTransitionTime?: string;
  lastHeartbeatTime?: string;
  reason?: string;
  message?: string;
}

export interface ApiPod extends ApiObject {
  spec?: {
    nodeName?: string;
    schedulerName?: string;
    schedulingGates?: readonly unknown[];
    tolerations?: readonly Toleration[];
    affinity?: {
      nodeAffinity?: {
        requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms?: readonly SelectorTerm[] };
      };
    };
    readinessGates?: readonly { conditionType: string }[];
    initContainers?: readonly { name: string; image?: string }[];
    containers?: readonly { name: string; image?: string }[];
    volumes?: readonly { name: string; projected?: object }[];
  };
  status?: { phase?: string; startTime?: string; conditions?: readonly Condition[] };
}

export interface ApiNode extends ApiObject {
  spec?: { podCIDR?: string; podCIDRs?: readonly string[]; taints?: readonly Taint[] };
  status?: { conditions?: readonly Condition[] };
}
