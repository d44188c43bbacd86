import type { ClusterObject, ConfigRef, Container, EndpointSlice, EnvVar, Pod, Service, Volume } from "./objects.ts";
import { apiVersion } from "./version.ts";

/** An object as a Kubernetes manifest in plain JSON data. `readManifests` reads it back unchanged. */
export function manifestOf(object: ClusterObject): Record<string, unknown> {
  const { kind, metadata } = object;
  const head = { apiVersion: "v1", kind };
  if (kind === "Pod") return { ...head, metadata: { ...metadata, ...ownerOf(object) }, ...podParts(object) };
  if (kind === "Service") return { ...head, metadata, spec: serviceSpec(object) };
  if (kind === "EndpointSlice") return { ...head, apiVersion: "discovery.k8s.io/v1", metadata, ...sliceParts(object) };
  if (kind === "Limit" || kind === "Impairment") return { apiVersion, kind, metadata, spec: object.spec };
  if (kind === "ConfigMap") return { ...head, metadata, data: object.data, binaryData: object.binaryData };
  if (kind === "Namespace") return { ...head, metadata };
  const addresses = object.addresses.map((address) => ({ type: "InternalIP", address }));
  const { createdAt: creationTimestamp, podCIDRs } = object;
  return { ...head, metadata: { ...metadata, creationTimestamp }, spec: { podCIDRs }, status: { addresses } };
}

function serviceSpec({ selector, clusterIPs }: Service) {
  return { selector, clusterIPs, clusterIP: clusterIPs[0] };
}

function sliceParts({ addressType, addresses }: EndpointSlice) {
  return { addressType, endpoints: addresses.map((address) => ({ addresses: [address] })) };
}

function podParts(pod: Pod) {
  const { ips, ended: phase } = pod;
  const status = { ...(phase && { phase }), ...(ips && { podIPs: ips.map((ip) => ({ ip })) }) };
  return { spec: podSpec(pod), ...((phase || ips) && { status }) };
}

function ownerOf({ owner }: Pod) {
  const [kind, name] = owner?.split("/") ?? [];
  return kind && name ? { ownerReferences: [{ kind, name, controller: true }] } : {};
}

function podSpec({ kind: _, metadata: __, owner: ___, ips: ____, ended: _____, ...pod }: Pod) {
  const { containers, initContainers, volumes, sysctls, ...same } = pod;
  return {
    ...same,
    ...(initContainers && { initContainers: initContainers.map(containerOf) }),
    containers: containers.map(containerOf),
    ...(volumes && { volumes: volumes.map(volumeOf) }),
    ...(sysctls && { securityContext: { sysctls } }),
  };
}

function volumeOf(volume: Volume) {
  const { name } = volume;
  if (volume.kind === "emptyDir") return { name, emptyDir: {} };
  if (volume.kind === "other") return { name, [volume.source]: {} };
  const { configMap, optional, items, defaultMode } = volume;
  return { name, configMap: { name: configMap, optional, items, defaultMode } };
}

function containerOf({ env, envFrom, ...rest }: Container) {
  const sources = envFrom?.map(({ kind, prefix, ...ref }) => ({ prefix, [`${fieldOf(kind)}Ref`]: ref }));
  return { ...rest, env: env.map(variable), ...(sources && { envFrom: sources }) };
}

function variable({ name, value, from }: EnvVar) {
  if (!from) return { name, value };
  if ("field" in from) return { name, valueFrom: { fieldRef: { fieldPath: from.field } } };
  if ("other" in from) return { name, valueFrom: { [from.other]: {} } };
  if ("resource" in from) {
    const { container: containerName, ...rest } = from;
    return { name, valueFrom: { resourceFieldRef: { containerName, ...rest } } };
  }
  const { kind, ...ref } = from;
  return { name, valueFrom: { [`${fieldOf(kind)}KeyRef`]: ref } };
}

const fieldOf = (kind: ConfigRef["kind"]): string => (kind === "Secret" ? "secret" : "configMap");
