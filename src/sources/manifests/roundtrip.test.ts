import { expect, it } from "vitest";
import { manifestOf } from "../../model/manifest.ts";
import type { ClusterObject } from "../../model/objects.ts";
import { parseManifests } from "./parse.ts";

const metadata = { name: "x", namespace: "n", labels: { a: "b" }, annotations: { bandwidth: "1 mbps egress" } };

const TIMES = {
  ...{ initialDelaySeconds: 1, timeoutSeconds: 2, periodSeconds: 3 },
  ...{ successThreshold: 1, failureThreshold: 4 },
};

it.each<ClusterObject>([
  {
    kind: "Pod",
    metadata: { ...metadata, uid: "u1", resourceVersion: "42" },
    nodeName: "node-1",
    nodeSelector: { disk: "ssd" },
    hostNetwork: false,
    hostname: "h",
    subdomain: "s",
    hostAliases: [{ ip: "10.0.0.1", hostnames: ["a", "b.c"] }],
    sysctls: [{ name: "net.ipv4.tcp_syncookies", value: "0" }],
    terminationGracePeriodSeconds: 0,
    activeDeadlineSeconds: 9,
    initContainers: [
      { name: "first", command: ["true"], args: [], env: [] },
      { name: "beside", command: ["true"], args: [], env: [], restartPolicy: "Always" },
    ],
    restartPolicy: "OnFailure",
    owner: "Deployment/web",
    serviceAccountName: "robot",
    containers: [
      {
        name: "c",
        image: "i",
        command: ["sh", "-c", "echo $HOME"],
        args: ["x"],
        workingDir: "/tmp",
        ports: [{ name: "web", containerPort: 80 }],
        startupProbe: { ...TIMES, exec: { command: ["true"] }, terminationGracePeriodSeconds: 3 },
        livenessProbe: { ...TIMES, tcpSocket: { port: "web" } },
        readinessProbe: {
          ...{ ...TIMES, successThreshold: 2 },
          httpGet: { path: "/", port: 80, host: "::1", scheme: "HTTPS", httpHeaders: [{ name: "A", value: "b" }] },
        },
        env: [
          { name: "A", value: "1" },
          { name: "B", value: "", from: { field: "metadata.name" } },
          { name: "C", value: "", from: { kind: "ConfigMap", name: "m", key: "k", optional: true } },
          { name: "D", value: "", from: { kind: "Secret", name: "s", key: "k", optional: false } },
          { name: "E", value: "", from: { container: "c", resource: "limits.cpu", divisor: "1m" } },
          { name: "F", value: "", from: { other: "fileKeyRef" } },
        ],
        envFrom: [
          { kind: "ConfigMap", name: "m", prefix: "P_", optional: false },
          { kind: "Secret", name: "s", prefix: "", optional: true },
        ],
        resources: { limits: { cpu: "1" } },
        volumeMounts: [
          { name: "conf", mountPath: "/etc/app", readOnly: true },
          { name: "scratch", mountPath: "/data", subPath: "a/b", readOnly: false },
        ],
      },
    ],
    volumes: [
      { name: "conf", kind: "configMap", configMap: "m", optional: false, items: [{ key: "k", path: "a/k.txt" }] },
      {
        ...{ name: "bin", kind: "configMap", configMap: "m", optional: false, defaultMode: 0o755 },
        items: [{ key: "k", path: "k", mode: 0o400 }],
      },
      { name: "scratch", kind: "emptyDir" },
      { name: "secret", kind: "other", source: "secret" },
    ],
  },
  {
    kind: "Pod",
    metadata,
    hostNetwork: true,
    restartPolicy: "Always",
    containers: [{ name: "c", command: [], args: [], env: [] }],
  },
  {
    kind: "Node",
    metadata: { name: "node-1", labels: {}, annotations: {} },
    addresses: ["192.168.0.1", "fd00::1"],
    podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
    createdAt: "2026-01-02T15:04:05Z",
  },
  { kind: "Namespace", metadata: { name: "n", labels: {}, annotations: {} } },
  { kind: "Service", metadata, selector: { app: "web" }, clusterIPs: ["10.96.0.7", "fd00:96::7"] },
  { kind: "Service", metadata, selector: {}, clusterIPs: [] },
  { kind: "EndpointSlice", metadata, addressType: "IPv6", addresses: ["fd00::1", "fd00::2"] },
  { kind: "EndpointSlice", metadata, addressType: "FQDN", addresses: [] },
  { kind: "Limit", metadata, spec: { service: "web", ingress: "10M" } },
  {
    kind: "Impairment",
    metadata,
    spec: {
      selector: { matchLabels: { app: "web" }, matchExpressions: [{ key: "tier", operator: "Exists", values: [] }] },
      direction: "egress",
      loss: { burst: { p: "1%", r: "20%" } },
      delay: { latency: "50ms", jitter: "10ms" },
      match: { peers: [{ cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] }], ports: [{ protocol: "TCP", port: 80 }] },
      until: "2026-01-02T15:04:05Z",
    },
  },
  { kind: "ConfigMap", metadata, data: { "a.txt": "text\n" } },
  { kind: "ConfigMap", metadata, data: {}, binaryData: { a: "AAH/" } },
])("a $kind written as a manifest is read back as it was", (object) => {
  const { objects, problems } = parseManifests(JSON.stringify(manifestOf(object)), "f.json");
  expect(problems.filter(({ severity }) => severity !== "skipped")).toEqual([]);
  expect(objects.map((one) => one.object)).toEqual([object]);
});
