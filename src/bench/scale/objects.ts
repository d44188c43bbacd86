/** Objects as a Kubernetes API server has them, with the fields that kubelets and controllers write. */

export interface ObjectMeta {
  name: string;
  namespace?: string;
  [field: string]: unknown;
}
export interface ApiObject {
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** The varying fields of a Deployment's pod. */
export interface PodShape {
  name: string;
  namespace: string;
  node: string;
  uid: string;
  ips?: readonly string[] | undefined;
  labels?: Record<string, string> | undefined;
  annotations?: Record<string, string> | undefined;
  /** Restarts of its container: the only field of its status that changes. */
  restarts?: number | undefined;
}

const CREATED = "2026-01-01T00:00:00Z";
const condition = (type: string) => ({ type, status: "True", lastProbeTime: null, lastTransitionTime: CREATED });

/** A pod with one container, about 4 kB of JSON as usual. */
export function podObject(shape: PodShape): ApiObject {
  const { name, namespace, node, uid, ips, labels = {}, annotations = {} } = shape;
  return {
    metadata: {
      name,
      generateName: `${name.slice(0, -5)}-`,
      namespace,
      uid,
      creationTimestamp: CREATED,
      labels: { app: "web", "pod-template-hash": "6d4b75cb6d", ...labels },
      annotations: { "kubectl.kubernetes.io/restartedAt": CREATED, ...annotations },
      ownerReferences: [owner("apps/v1", "ReplicaSet", "web-6d4b75cb6d")],
      managedFields: [managed("kube-controller-manager", POD_FIELDS), managed("kubelet", STATUS_FIELDS, "status")],
    },
    spec: podSpec(node),
    status: podStatus(
      shape,
      ips?.map((ip) => ({ ip })),
    ),
  };
}

const owner = (apiVersion: string, kind: string, name: string) => ({
  ...{
    apiVersion,
    kind,
    name,
    uid: "5f1f8a1e-31a7-4a35-9c3b-1f7a0b1a6a51",
    controller: true,
    blockOwnerDeletion: true,
  },
});

const managed = (manager: string, fieldsV1: object, subresource?: string) => ({
  ...{ manager, operation: "Update", apiVersion: "v1", time: CREATED, fieldsType: "FieldsV1", fieldsV1 },
  ...(subresource && { subresource }),
});

const fields = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [`f:${name}`, {}]));
const CONTAINER_FIELDS = fields("env", "image", "imagePullPolicy", "livenessProbe", "name", "ports", "readinessProbe");
const POD_FIELDS = {
  "f:metadata": { "f:generateName": {}, "f:labels": fields("app", "pod-template-hash"), "f:ownerReferences": {} },
  "f:spec": {
    "f:containers": { 'k:{"name":"web"}': { ".": {}, ...CONTAINER_FIELDS, ...fields("resources", "volumeMounts") } },
    ...fields("dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName", "securityContext"),
    ...fields("serviceAccount", "serviceAccountName", "terminationGracePeriodSeconds", "tolerations", "volumes"),
  },
};
const CONDITION_FIELDS = fields("lastProbeTime", "lastTransitionTime", "status", "type");
const STATUS_FIELDS = {
  "f:status": {
    "f:conditions": Object.fromEntries(
      ["ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready"].map((type) => [
        `k:{"type":"${type}"}`,
        CONDITION_FIELDS,
      ]),
    ),
    ...fields("containerStatuses", "hostIP", "hostIPs", "phase", "podIP", "podIPs", "startTime"),
  },
};

function podSpec(nodeName: string): object {
  const token = { mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", name: "kube-api-access", readOnly: true };
  const probe = (path: string) => ({
    httpGet: { path, port: 8080, scheme: "HTTP" },
    ...{ initialDelaySeconds: 5, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 },
  });
  const room = { cpu: "100m", memory: "128Mi" };
  const container = {
    name: "web",
    image: "registry.example.com/shop/web:v1.27.3",
    ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
    env: ["LOG_LEVEL", "REGION", "CACHE_URL"].map((name) => ({ name, value: `value-of-${name.toLowerCase()}` })),
    resources: { requests: room, limits: { cpu: "500m", memory: "256Mi" } },
    volumeMounts: [{ name: "config", mountPath: "/etc/web" }, token],
    livenessProbe: probe("/healthz"),
    readinessProbe: probe("/ready"),
    ...{ terminationMessagePath: "/dev/termination-log", terminationMessagePolicy: "File" },
    imagePullPolicy: "IfNotPresent",
  };
  const sources = [
    { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
    { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  ];
  const lost = (key: string) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 });
  return {
    nodeName,
    containers: [container],
    volumes: [
      { name: "config", configMap: { name: "web", defaultMode: 420 } },
      { name: "kube-api-access", projected: { sources, defaultMode: 420 } },
    ],
    tolerations: ["not-ready", "unreachable"].map((why) => lost(`node.kubernetes.io/${why}`)),
    ...{ restartPolicy: "Always", terminationGracePeriodSeconds: 30, dnsPolicy: "ClusterFirst", priority: 0 },
    ...{ serviceAccountName: "web", serviceAccount: "web", securityContext: {}, schedulerName: "default-scheduler" },
    ...{ enableServiceLinks: true, preemptionPolicy: "PreemptLowerPriority" },
  };
}

function podStatus({ restarts = 0 }: PodShape, podIPs: readonly { ip: string }[] | undefined): object {
  const id = "sha256:7e4a3f0d2b6c9e1f5a8d4c7b0e3f6a9d2c5b8e1f4a7d0c3b6e9f2a5d8c1b4e7f";
  const state = { running: { startedAt: CREATED } };
  const container = {
    ...{ name: "web", state, lastState: {}, ready: true, started: true, restartCount: restarts },
    ...{ image: "registry.example.com/shop/web:v1.27.3", imageID: `registry.example.com/shop/web@${id}` },
    containerID: `containerd://${id.slice(7)}`,
  };
  const conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
  return {
    ...{ phase: "Running", conditions: conditions.map(condition), hostIP: "198.18.0.1", startTime: CREATED },
    ...(podIPs?.[0] && { podIP: podIPs[0].ip, podIPs }),
    ...{ containerStatuses: [container], qosClass: "Burstable" },
  };
}

/** A node by its number in the cluster, 0 to 65535, which determines its name, networks and addresses. */
export interface NodeShape {
  index: number;
  /** Number of its heartbeat, the only field that changes. */
  beat?: number | undefined;
}

export const nodeName = (index: number): string => `node-${index + 1}`;

/** Pod networks of a node. The first node's have room for as many pods as one node can have, others' for 254. */
export const nodeNetworks = (index: number): string[] =>
  index === 0 ? ["10.244.0.0/16", "fd00:10:244::/64"] : [`${prefix4(index)}.0/24`, `${prefix6(index)}::/64`];

const prefix4 = (index: number): string => `10.${index >> 8}.${index & 255}`;
const prefix6 = (index: number): string => `fd00:10:0:${(index + 0x1000).toString(16)}`;

/** Addresses of the nth pod (from 0) of a node other than the first. */
export const remoteIps = (node: number, pod: number): string[] => [
  `${prefix4(node)}.${2 + pod}`,
  `${prefix6(node)}::${(2 + pod).toString(16)}`,
];

export function nodeObject({ index, beat = 0 }: NodeShape): ApiObject {
  const name = nodeName(index);
  const podCIDRs = nodeNetworks(index);
  const ips = index === 0 ? ["192.0.2.1"] : [`198.18.${index >> 8}.${index & 255}`, `fd00:99::${index.toString(16)}`];
  const time = new Date(Date.parse(CREATED) + 1000 * beat).toISOString().replace(".000", "");
  const states = { MemoryPressure: "False", DiskPressure: "False", PIDPressure: "False", Ready: "True" };
  const room = { cpu: "8", memory: "32855840Ki", pods: "110", "ephemeral-storage": "203056560Ki" };
  return {
    metadata: {
      name,
      uid: `uid-${name}`,
      creationTimestamp: CREATED,
      labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "z1" },
      annotations: { "node.alpha.kubernetes.io/ttl": "0" },
      managedFields: [managed("kubelet", { "f:metadata": fields("annotations", "labels") })],
    },
    spec: { podCIDR: podCIDRs[0], podCIDRs },
    status: {
      addresses: [...ips.map((address) => ({ type: "InternalIP", address })), { type: "Hostname", address: name }],
      capacity: room,
      allocatable: room,
      conditions: Object.entries(states).map(([type, status]) => ({
        ...{ type, status, reason: "KubeletSays", message: "kubelet reports its state" },
        ...{ lastHeartbeatTime: time, lastTransitionTime: CREATED },
      })),
      images: Array.from({ length: 20 }, (_, i) => ({
        ...{ names: [`registry.example.com/shop/image-${i}:v1.0.${i}`], sizeBytes: 50_000_000 + i },
      })),
      nodeInfo: { kernelVersion: "6.1.0-30-amd64", osImage: "Debian GNU/Linux 12", kubeletVersion: "v1.34.1" },
    },
  };
}

export const namespaceObject = (name: string): ApiObject => ({
  metadata: {
    name,
    uid: `uid-ns-${name}`,
    creationTimestamp: CREATED,
    labels: { "kubernetes.io/metadata.name": name },
  },
  spec: { finalizers: ["kubernetes"] },
  status: { phase: "Active" },
});
