import type { ImpairmentSpec, LimitSpec } from "./rule-objects.ts";

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
  env: readonly EnvVar[];
  /** Whole ConfigMaps and Secrets as variables; earlier than `env`, so `env` wins. */
  envFrom?: readonly EnvFrom[] | undefined;
  workingDir?: string | undefined;
  volumeMounts?: readonly VolumeMount[] | undefined;
  /** Quantities by name (`cpu`, `memory`); only shown to the container. */
  resources?: Resources | undefined;
  /** Those that have a name, for probes. */
  ports?: readonly { name: string; containerPort: number }[] | undefined;
  startupProbe?: Probe | undefined;
  livenessProbe?: Probe | undefined;
  readinessProbe?: Probe | undefined;
  /** Of an init container: it goes on beside the others, and is started again whenever it ends. */
  restartPolicy?: "Always" | undefined;
}

/** What is asked of a container again and again, by one of the three ways. Times in seconds. */
export interface Probe {
  exec?: { command: readonly string[] } | undefined;
  httpGet?: HttpGet | undefined;
  tcpSocket?: { port: number | string; host?: string | undefined } | undefined;
  initialDelaySeconds: number;
  timeoutSeconds: number;
  periodSeconds: number;
  successThreshold: number;
  failureThreshold: number;
  /** Of a container that is ended because of it; the pod's if left out. */
  terminationGracePeriodSeconds?: number | undefined;
}

/** `port`: a number, or the name of one of the container's. `host`: the pod's address if left out. */
export interface HttpGet {
  path: string;
  port: number | string;
  host?: string | undefined;
  scheme: "HTTP" | "HTTPS";
  httpHeaders: readonly { name: string; value: string }[];
}

export interface Resources {
  limits?: Readonly<Record<string, string>> | undefined;
  requests?: Readonly<Record<string, string>> | undefined;
}

/** Where a container sees a volume. `subPath`: only this file or directory of it. */
export interface VolumeMount {
  name: string;
  mountPath: string;
  subPath?: string | undefined;
  readOnly: boolean;
}

/** A pod's volume. `items`: which keys of the ConfigMap, and as what files; all if left out. Modes are those of files. */
export type Volume =
  | {
      name: string;
      kind: "configMap";
      configMap: string;
      optional: boolean;
      items?: readonly { key: string; path: string; mode?: number | undefined }[] | undefined;
      defaultMode?: number | undefined;
    }
  | { name: string; kind: "emptyDir" }
  /** One that the lab does not mount. */
  | { name: string; kind: "other"; source: string };

/** A variable. With `from`, `value` is empty and `resolveEnvironment` gives it. */
export interface EnvVar {
  name: string;
  value: string;
  from?: EnvSource | undefined;
}

/** Which object's text variables are made of. */
export interface ConfigRef {
  kind: "ConfigMap" | "Secret";
  name: string;
  optional: boolean;
}

/**
 * A key of a ConfigMap or Secret; a field of the pod such as `metadata.name`, `spec.nodeName`, `status.podIP`; or what a
 * container asks for, such as `limits.cpu`, in units of `divisor`. Of any `other` source the lab knows only the name.
 */
export type EnvSource =
  | (ConfigRef & { key: string })
  | { field: string }
  | { resource: string; container?: string | undefined; divisor: string }
  | { other: string };

export interface EnvFrom extends ConfigRef {
  prefix: string;
}

/** How a pod ended whose containers are not started again. */
export type Ended = "Succeeded" | "Failed";

/** One pod, bound (`nodeName`) or not. `owner` is the workload that it was expanded from, as `Kind/name`. */
export interface Pod {
  kind: "Pod";
  metadata: Metadata & { namespace: string };
  nodeName?: string | undefined;
  /** Labels that the pod's node must have. */
  nodeSelector?: Readonly<Record<string, string>> | undefined;
  hostNetwork: boolean;
  /** Run one after the other before the others are started. */
  initContainers?: readonly Container[] | undefined;
  containers: readonly Container[];
  restartPolicy: "Always" | "OnFailure" | "Never";
  volumes?: readonly Volume[] | undefined;
  serviceAccountName?: string | undefined;
  /** Its name if left out. */
  hostname?: string | undefined;
  subdomain?: string | undefined;
  hostAliases?: readonly { ip: string; hostnames: readonly string[] }[] | undefined;
  /** Of its own namespaces; names with dots. */
  sysctls?: readonly { name: string; value: string }[] | undefined;
  /** Between SIGTERM and SIGKILL; 30 if left out. */
  terminationGracePeriodSeconds?: number | undefined;
  activeDeadlineSeconds?: number | undefined;
  owner?: string | undefined;
  /** Addresses from its status; none of one that has ended, since they may be another's already. */
  ips?: readonly string[] | undefined;
  ended?: Ended | undefined;
  /** It is being deleted: its network may be gone already, and its addresses another pod's. */
  isLeaving?: boolean | undefined;
}

/** A cluster node: where its pods' addresses come from and where its tunnel ends. */
export interface Node {
  kind: "Node";
  metadata: Metadata;
  /** Underlay addresses, at most one of each family. */
  addresses: readonly string[];
  /** Pod CIDRs, at most one of each family, e.g. `10.244.1.0/24`, `fd00:10:244:1::/64`. */
  podCIDRs: readonly string[];
  /** When the API server took it, RFC 3339 in UTC. */
  createdAt?: string | undefined;
}

export interface Namespace {
  kind: "Namespace";
  metadata: Metadata;
}

export interface ConfigMap {
  kind: "ConfigMap";
  metadata: Metadata & { namespace: string };
  data: Readonly<Record<string, string>>;
  /** In base64. */
  binaryData?: Readonly<Record<string, string>> | undefined;
}

/** Read by labs alone. `data` is text. */
export interface Secret {
  kind: "Secret";
  metadata: Metadata & { namespace: string };
  data: Readonly<Record<string, string>>;
}

/** Whose pods share its rules: those that the selector selects; an empty one selects none. */
export interface Service {
  kind: "Service";
  metadata: Metadata & { namespace: string };
  selector: Readonly<Record<string, string>>;
  clusterIPs: readonly string[];
}

/** Some of the addresses behind a Service of its namespace, ready or not; none of the kind `FQDN`. */
export interface EndpointSlice {
  kind: "EndpointSlice";
  metadata: Metadata & { namespace: string };
  addressType: "IPv4" | "IPv6" | "FQDN";
  addresses: readonly string[];
}

/** A bandwidth limit of `weir.dev/v1alpha1`. */
export interface Limit {
  kind: "Limit";
  metadata: Metadata & { namespace: string };
  spec: LimitSpec;
}

/** An impairment of `weir.dev/v1alpha1`. */
export interface Impairment {
  kind: "Impairment";
  metadata: Metadata & { namespace: string };
  spec: ImpairmentSpec;
}

/** Objects that say what is done with pods' traffic. */
export type RuleObject = Service | EndpointSlice | Limit | Impairment;
export type ClusterObject = Pod | Node | Namespace | ConfigMap | RuleObject;

/** What a workload makes its pods of. */
export interface PodTemplate {
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  spec: Omit<Pod, "kind" | "metadata" | "owner" | "ips" | "ended" | "isLeaving">;
}

interface WorkloadBase {
  metadata: Metadata & { namespace: string };
  template: PodTemplate;
}
export interface Deployment extends WorkloadBase {
  kind: "Deployment";
  replicas: number;
}
export interface ReplicaSet extends WorkloadBase {
  kind: "ReplicaSet";
  replicas: number;
}
export interface StatefulSet extends WorkloadBase {
  kind: "StatefulSet";
  replicas: number;
  /** First ordinal. */
  start: number;
}
export interface DaemonSet extends WorkloadBase {
  kind: "DaemonSet";
}
/** What Job and CronJob share. `completions` undefined: as many as `parallelism`. */
export interface JobSpec {
  completions?: number | undefined;
  parallelism: number;
  backoffLimit: number;
  indexed: boolean;
  suspend: boolean;
  /** From its start on, over all its pods. */
  activeDeadlineSeconds?: number | undefined;
}
export interface Job extends WorkloadBase, JobSpec {
  kind: "Job";
}
export interface CronJob extends WorkloadBase {
  kind: "CronJob";
  /** Five fields, `@hourly` and the like, or `@every 5m`. */
  schedule: string;
  /** IANA name of the zone whose clocks the schedule goes by; UTC if left out. */
  timeZone?: string | undefined;
  concurrencyPolicy: "Allow" | "Forbid" | "Replace";
  /** How many finished runs are kept. */
  history: number;
  suspend: boolean;
  job: JobSpec;
}

export type Workload = Deployment | ReplicaSet | StatefulSet | DaemonSet | Job | CronJob;
/** All that a manifest may hold. */
export type ManifestObject = ClusterObject | Workload | Secret;
