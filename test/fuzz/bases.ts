import { apiVersion } from "../../src/model/version.ts";

type Fields = Record<string, unknown>;

const labels = { app: "a" };
const selector = { matchLabels: labels };

const container = {
  name: "c",
  image: "none",
  command: ["sleep", "infinity"],
  env: [
    { name: "A", value: "$(B)" },
    { name: "B", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
  ],
  volumeMounts: [{ name: "v", mountPath: "/v" }],
};
const podSpec = { containers: [container], volumes: [{ name: "v", emptyDir: {} }] };
const CLAIM = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
const metadata = { labels, annotations: { bandwidth: "20 mbps egress" } };
const template = (restartPolicy: string) => ({ metadata, spec: { ...podSpec, restartPolicy } });
const jobSpec = { parallelism: 1, completions: 1, backoffLimit: 1, template: template("Never") };
const replicated = { selector, template: template("Always") };

const core = (kind: string, rest: Fields): Fields => ({ apiVersion: "v1", kind, metadata, ...rest });
const apps = (kind: string, spec: Fields): Fields => ({ apiVersion: "apps/v1", kind, metadata, spec });
const own = (kind: string, spec: Fields): Fields => ({ apiVersion, kind, metadata, spec });

/** A valid object of each kind, by kind. The fuzz test changes one field at a time. */
export const BASES: Readonly<Record<string, Fields>> = {
  Pod: core("Pod", { spec: { ...podSpec, nodeName: "node-1", restartPolicy: "Always" } }),
  Node: core("Node", {
    spec: { podCIDRs: ["10.99.1.0/24"] },
    status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] },
  }),
  Namespace: core("Namespace", {}),
  Service: core("Service", { spec: { selector: labels, clusterIP: "None", ports: [{ port: 80 }] } }),
  ConfigMap: core("ConfigMap", { data: { a: "b" }, binaryData: { c: "AA==" } }),
  Secret: core("Secret", { data: { a: "AA==" }, stringData: { b: "c" } }),
  EndpointSlice: {
    ...core("EndpointSlice", { addressType: "IPv4", endpoints: [{ addresses: ["10.0.0.1"] }], ports: [{ port: 80 }] }),
    apiVersion: "discovery.k8s.io/v1",
    metadata: { labels: { "kubernetes.io/service-name": "s" } },
  },
  Deployment: apps("Deployment", { ...replicated, replicas: 1 }),
  ReplicaSet: apps("ReplicaSet", { ...replicated, replicas: 1 }),
  StatefulSet: apps("StatefulSet", {
    ...{ ...replicated, serviceName: "s", replicas: 1, ordinals: { start: 1 } },
    volumeClaimTemplates: [{ metadata: { name: "d" }, spec: CLAIM }],
  }),
  DaemonSet: apps("DaemonSet", replicated),
  Job: { apiVersion: "batch/v1", kind: "Job", metadata, spec: jobSpec },
  CronJob: {
    ...{ apiVersion: "batch/v1", kind: "CronJob", metadata },
    spec: { schedule: "*/5 * * * *", successfulJobsHistoryLimit: 1, jobTemplate: { spec: jobSpec } },
  },
  Limit: own("Limit", { selector, egress: "5M", ingress: "5M" }),
  Impairment: own("Impairment", {
    ...{ selector, direction: "both", loss: "1%", delay: { latency: "5ms", jitter: "1ms" }, lease: "30s" },
    match: { peers: [{ cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] }], ports: [{ protocol: "TCP", port: 80 }] },
  }),
};
