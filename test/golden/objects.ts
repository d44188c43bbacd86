import { apiVersion } from "../../src/model/version.ts";
import { OWN } from "./node.ts";

/** Short constructors of the worlds' objects. */

interface PodOptions {
  namespace?: string;
  uid?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  node?: string;
  hostNetwork?: boolean;
  ips?: readonly string[];
  phase?: string;
  spec?: object;
}

export function pod(name: string, options: PodOptions = {}): object {
  const { namespace = "shop", uid = `uid-${name}`, labels, annotations, node = OWN, hostNetwork, ips, phase } = options;
  const container = { name: "c", image: "example.test/c:1" };
  return {
    ...{ apiVersion: "v1", kind: "Pod" },
    metadata: { name, namespace, uid, ...(labels && { labels }), ...(annotations && { annotations }) },
    spec: { nodeName: node, ...(hostNetwork && { hostNetwork }), containers: [container], ...options.spec },
    ...((ips || phase) && {
      status: { ...(phase && { phase }), ...(ips && { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }) },
    }),
  };
}

export function node(name: string, addresses: readonly string[], podCIDRs: readonly string[], created = 1): object {
  const creationTimestamp = `2026-01-01T00:00:${`${created}`.padStart(2, "0")}Z`;
  return {
    ...{ apiVersion: "v1", kind: "Node", metadata: { name, creationTimestamp } },
    spec: { podCIDRs },
    status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
  };
}

export const namespace = (name: string, labels: Record<string, string> = {}): object => ({
  ...{ apiVersion: "v1", kind: "Namespace" },
  metadata: { name, labels },
});

export const service = (name: string, spec: object, annotations?: Record<string, string>): object => ({
  ...{ apiVersion: "v1", kind: "Service" },
  metadata: { name, namespace: "shop", ...(annotations && { annotations }) },
  spec: { ports: [{ port: 80 }], ...spec },
});

export const slice = (service: string, addresses: readonly string[]): object => ({
  ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice" },
  metadata: { name: `${service}-1`, namespace: "shop", labels: { "kubernetes.io/service-name": service } },
  ...{ addressType: "IPv4", endpoints: addresses.map((address) => ({ addresses: [address] })) },
  ports: [{ port: 80 }],
});

export const limit = (name: string, spec: object, namespace = "shop"): object => ({
  ...{ apiVersion, kind: "Limit", metadata: { name, namespace }, spec },
});

export const impairment = (name: string, spec: object, namespace = "shop"): object => ({
  ...{ apiVersion, kind: "Impairment", metadata: { name, namespace }, spec },
});
