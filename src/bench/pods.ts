import { stringify } from "yaml";

/** A pod for a measurement. Without commands its container sleeps. */
export interface PodSpec {
  name: string;
  namespace?: string | undefined;
  uid?: string | undefined;
  /** `node-1` …; default: pods are spread over the nodes. */
  node?: string | undefined;
  annotations?: Record<string, string> | undefined;
  labels?: Record<string, string> | undefined;
  hostNetwork?: boolean | undefined;
  /** One container for each command. */
  commands?: readonly (readonly string[])[] | undefined;
}

/** One pod as a plain Kubernetes object. */
export function podObject(spec: PodSpec): object {
  const commands = spec.commands ?? [["sleep", "infinity"]];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: spec.name,
      namespace: spec.namespace ?? "default",
      ...(spec.uid === undefined ? {} : { uid: spec.uid }),
      ...(spec.labels ? { labels: spec.labels } : {}),
      ...(spec.annotations ? { annotations: spec.annotations } : {}),
    },
    spec: {
      ...(spec.node === undefined ? {} : { nodeName: spec.node }),
      ...(spec.hostNetwork ? { hostNetwork: true } : {}),
      containers: commands.map((command, i) => ({ name: `c${i}`, image: "none", command })),
    },
  };
}

/** Manifests of pods as one YAML text of several documents. */
export function manifests(pods: readonly PodSpec[]): string {
  return pods.map((pod) => `---\n${stringify(podObject(pod))}`).join("");
}

/** Ports of a traffic pod's iperf3 servers. Each serves one client at a time, so concurrent flows need different ones. */
export const IPERF_PORTS = [5201, 5202, 5203, 5204] as const;

/** Commands of a pod that takes part in traffic: iperf3 servers, and an echo for TCP and UDP. */
export function trafficCommands(servers = 2): string[][] {
  const iperf = IPERF_PORTS.slice(0, servers).map((port) => ["iperf3", "-s", "-J", "-p", String(port)]);
  return [...iperf, [process.execPath, "-e", ECHO]];
}

export const ECHO_PORT = 7007;

/** Echoes TCP and UDP on one port, both families. */
export const ECHO = `
const net = require("node:net"), dgram = require("node:dgram");
net.createServer({ noDelay: true }, (s) => { s.on("error", () => {}); s.pipe(s); }).listen(${ECHO_PORT}, "::");
const u = dgram.createSocket("udp6");
u.on("message", (m, r) => u.send(m, r.port, r.address));
u.bind(${ECHO_PORT}, "::");
`;
