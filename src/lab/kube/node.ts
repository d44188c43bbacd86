import { cpus, hostname, release, totalmem } from "node:os";
import type { NodeNames } from "../names.ts";
import type { ApiNode, Condition } from "./objects.ts";
import { LAB_KEY, labTaint } from "./scheduling.ts";
import { seconds } from "./status.ts";

/**
 * Label with the machine of a lab's node: two labs of one name on two machines would otherwise share their Node
 * objects.
 */
export const MACHINE_KEY = "weir.dev/lab-machine";
export const LEASE_SECONDS = 40;

/** Whether the agent of a node can serve pods. `message` says why not. */
export interface Health {
  ready: boolean;
  message: string;
}

/** Labels of a lab's node. */
export function nodeLabels(lab: string, name: string): Record<string, string> {
  return { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", [LAB_KEY]: lab };
}

/** A Node to be created. Its taint keeps other pods away. */
export function newNode(lab: string, { name, podCIDRs }: NodeNames): Record<string, unknown> {
  const metadata = { name, labels: nodeLabels(lab, name), annotations: { [MACHINE_KEY]: hostname() } };
  const spec = { podCIDR: podCIDRs[0], podCIDRs, taints: [labTaint(lab)] };
  return { apiVersion: "v1", kind: "Node", metadata, spec };
}

/** Why an existing Node object is not this lab's; undefined if it is. */
export function foreign(node: ApiNode, lab: string, { podCIDRs }: NodeNames): string | undefined {
  const { labels = {}, annotations = {} } = node.metadata;
  if (labels[LAB_KEY] !== lab) return `it exists and has no label ${LAB_KEY}=${lab}`;
  const machine = annotations[MACHINE_KEY];
  if (machine !== undefined && machine !== hostname()) return `it belongs to a lab of this name on machine ${machine}`;
  const has = node.spec?.podCIDRs ?? [];
  if (has.length > 0 && has.join() !== podCIDRs.join()) return `it has the pod CIDRs ${has.join(", ")}`;
  return undefined;
}

/** `status` of a Node: addresses of both families, capacity, and the ready condition. */
export function nodeStatus(node: NodeNames, before: ApiNode | undefined, health: Health, now: string, version: string) {
  const ips = node.addresses.map((address) => address.slice(0, address.indexOf("/")));
  const room = { cpu: String(cpus().length), memory: `${Math.floor(totalmem() / 1024)}Ki`, pods: "110" };
  return {
    addresses: [...ips.map((address) => ({ type: "InternalIP", address })), { type: "Hostname", address: node.name }],
    capacity: room,
    allocatable: room,
    conditions: [readyCondition(before, health, seconds(now) ?? now)],
    nodeInfo: {
      ...{ machineID: "", systemUUID: "", bootID: "", kernelVersion: release(), osImage: "Weir lab" },
      ...{ containerRuntimeVersion: `weir://${version}`, kubeletVersion: `v${version}-weir`, kubeProxyVersion: "" },
      ...{ operatingSystem: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch },
    },
  };
}

function readyCondition(before: ApiNode | undefined, { ready, message }: Health, now: string): Condition {
  const status = ready ? "True" : "False";
  const known = before?.status?.conditions?.find((one) => one.type === "Ready");
  const since = known?.status === status ? (known.lastTransitionTime ?? now) : now;
  const reason = ready ? "AgentReady" : "AgentNotReady";
  return { type: "Ready", status, reason, message, lastHeartbeatTime: now, lastTransitionTime: since };
}

/** The Lease that shows that the node is alive. `now` with microseconds, as in the API. */
export function newLease(node: ApiNode, now: string): Record<string, unknown> {
  const { name, uid } = node.metadata;
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name, ownerReferences: [{ apiVersion: "v1", kind: "Node", name, uid }] },
    spec: { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime: micro(now) },
  };
}

export function micro(now: string): string {
  return now.replace(/(\.\d{3})?Z$/, (_, fraction: string | undefined) => `${fraction ?? ".000"}000Z`);
}
