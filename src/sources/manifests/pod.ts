import * as z from "zod";
import { isAddress } from "../../model/ip.ts";
import { checkLabelName, checkSubdomain } from "../../model/names.ts";
import type { Ended, Metadata, Pod } from "../../model/objects.ts";
import { podSysctl } from "../../model/sysctls.ts";
import { envFrom, envVar, resources } from "./env.ts";
import { annotations, checked, IF_SOUND, labels, listOf, maybe, namespaced, plainText, whole } from "./fields.ts";
import { probes } from "./probes.ts";
import { volume, volumeMount } from "./volumes.ts";

const container = z
  .object({
    name: checked(checkLabelName),
    image: maybe(plainText),
    command: listOf(plainText),
    args: listOf(plainText),
    env: listOf(envVar),
    envFrom: listOf(envFrom),
    workingDir: maybe(plainText),
    volumeMounts: listOf(volumeMount),
    resources: maybe(resources).catch(undefined),
    ports: listOf(z.object({ name: maybe(z.string()), containerPort: whole(1, 65_535) })),
    ...probes,
    restartPolicy: maybe(z.string()),
  })
  .transform((raw) => {
    const {
      envFrom: from,
      volumeMounts,
      ports,
      startupProbe,
      livenessProbe,
      readinessProbe,
      restartPolicy,
      resources: asked,
      ...rest
    } = raw;
    const named = ports.flatMap(({ name, containerPort }) => (name ? [{ name, containerPort }] : []));
    return {
      ...rest,
      ...(asked && { resources: asked }),
      ...(from.length > 0 && { envFrom: from }),
      ...(volumeMounts.length > 0 && { volumeMounts }),
      ...(named.length > 0 && { ports: named }),
      ...(startupProbe && { startupProbe }),
      ...(livenessProbe && { livenessProbe }),
      ...(readinessProbe && { readinessProbe }),
      ...(restartPolicy === "Always" && { restartPolicy: "Always" as const }),
    };
  });

const uniqueNames = (list: readonly { name: string }[]) => new Set(list.map((one) => one.name)).size === list.length;

type Mounting = Record<"containers" | "initContainers", readonly { volumeMounts?: readonly { name: string }[] }[]> & {
  volumes: readonly { name: string }[];
};

function checkMounts(spec: Mounting, context: z.RefinementCtx): void {
  const known = new Set(spec.volumes.map((one) => one.name));
  for (const list of ["initContainers", "containers"] as const) {
    for (const [index, { volumeMounts = [] }] of spec[list].entries()) {
      for (const [at, { name }] of volumeMounts.entries()) {
        if (known.has(name)) continue;
        const path = [list, index, "volumeMounts", at, "name"];
        context.addIssue({ code: "custom", path, message: `there is no volume ${name} in spec.volumes` });
      }
    }
  }
}

const hostAlias = z.object({
  ip: z.string().refine(isAddress, "must be an IP address"),
  hostnames: listOf(checked(checkSubdomain)),
});
const sysctls = listOf(z.object({ name: z.string(), value: plainText.max(1024) }));
/** Seconds within Kubernetes' int32. */
const seconds = (least: number) => maybe(whole(least, 2 ** 31 - 1));

const nodeName = maybe(checked(checkSubdomain));
const hostNetwork = maybe(z.boolean());

/** spec of a pod or of a template. */
export const podSpec = z
  .object({
    nodeName,
    nodeSelector: labels,
    hostNetwork,
    containers: z
      .array(container)
      .min(1, "must have a container")
      .refine(uniqueNames, { ...IF_SOUND, error: "two containers have one name" }),
    initContainers: listOf(container),
    restartPolicy: maybe(z.enum(["Always", "OnFailure", "Never"])),
    serviceAccountName: maybe(checked(checkSubdomain)),
    volumes: listOf(volume).refine(uniqueNames, { ...IF_SOUND, error: "two volumes have one name" }),
    hostname: maybe(z.union([z.literal(""), checked(checkLabelName)])),
    subdomain: maybe(z.union([z.literal(""), checked(checkLabelName)])),
    hostAliases: listOf(hostAlias),
    securityContext: maybe(z.object({ sysctls })),
    terminationGracePeriodSeconds: seconds(0),
    activeDeadlineSeconds: seconds(1),
  })
  .superRefine(checkMounts, IF_SOUND)
  .refine(({ containers, initContainers }) => uniqueNames([...containers, ...initContainers]), {
    ...IF_SOUND,
    path: ["initContainers"],
    error: "two containers have one name",
  })
  .transform((raw) => {
    const { nodeSelector, initContainers, volumes, hostAliases, securityContext } = raw;
    const { terminationGracePeriodSeconds: grace, activeDeadlineSeconds: deadline } = raw;
    const spec = { hostNetwork: raw.hostNetwork ?? false };
    const set = (securityContext?.sysctls ?? []).flatMap(({ name, value }) => {
      const known = podSysctl(name, spec);
      return known === undefined ? [] : [{ name: known, value }];
    });
    return {
      ...(raw.nodeName && { nodeName: raw.nodeName }),
      ...(Object.keys(nodeSelector).length > 0 && { nodeSelector }),
      ...spec,
      ...(initContainers.length > 0 && { initContainers }),
      containers: raw.containers,
      restartPolicy: raw.restartPolicy ?? ("Always" as const),
      ...(volumes.length > 0 && { volumes }),
      ...(raw.serviceAccountName && { serviceAccountName: raw.serviceAccountName }),
      ...(raw.hostname && { hostname: raw.hostname }),
      ...(raw.subdomain && { subdomain: raw.subdomain }),
      ...(hostAliases.length > 0 && { hostAliases }),
      ...(set.length > 0 && { sysctls: set }),
      ...(grace !== undefined && { terminationGracePeriodSeconds: grace }),
      ...(deadline !== undefined && { activeDeadlineSeconds: deadline }),
    };
  });

/** The `template` of a workload. @param policies restart policies that its kind allows */
export const podTemplate = (policies: readonly string[]) =>
  z
    .object({ metadata: maybe(z.object({ labels, annotations })), spec: podSpec })
    .superRefine(({ spec }, context) => {
      if (policies.includes(spec.restartPolicy)) return;
      const message = `${spec.restartPolicy} is not allowed here; write ${policies.join(" or ")}`;
      context.addIssue({ code: "custom", path: ["spec", "restartPolicy"], message });
    }, IF_SOUND)
    .transform(({ metadata, spec }) => ({
      labels: metadata?.labels ?? {},
      annotations: metadata?.annotations ?? {},
      spec,
    }));

/** The lab records a pod's workload here, like ownerReferences in Kubernetes. */
const owners = listOf(z.object({ kind: z.string(), name: z.string(), controller: maybe(z.boolean()) }));

const podIPs = listOf(z.object({ ip: z.string() }));
const phase = z.unknown().optional();
const status = maybe(z.object({ podIPs, phase }));

interface Written {
  metadata: Metadata & { namespace: string; ownerReferences: z.output<typeof owners>; deletionTimestamp?: unknown };
  spec: Partial<z.output<typeof podSpec>>;
  status: z.output<typeof status>;
}

const endedBy = (said: unknown): Ended | undefined => (said === "Succeeded" || said === "Failed" ? said : undefined);

/** The addresses of a pod that has ended may be in use by another. */
function podOf({ metadata: whole, spec, status: said }: Written): Pod {
  const { ownerReferences, deletionTimestamp, ...metadata } = whole;
  const owner = ownerReferences.find((one) => one.controller) ?? ownerReferences[0];
  const ended = endedBy(said?.phase);
  const ips = ended ? [] : (said?.podIPs ?? []).map(({ ip }) => ip).filter(isAddress);
  return {
    kind: "Pod",
    metadata,
    hostNetwork: false,
    containers: [],
    restartPolicy: "Always",
    ...spec,
    ...(owner && { owner: `${owner.kind}/${owner.name}` }),
    ...(ips.length > 0 && { ips }),
    ...(ended && { ended }),
    ...(typeof deletionTimestamp === "string" && { isLeaving: true }),
  };
}

/** A Pod. */
export const pod = z
  .object({ kind: z.literal("Pod"), metadata: namespaced().extend({ ownerReferences: owners }), spec: podSpec, status })
  .transform(podOf);

/**
 * A Pod as an agent reads it: fields it does not act on (containers, variables, volumes) may have any content without
 * affecting rules.
 */
export const ruledPod = z
  .object({
    kind: z.literal("Pod"),
    metadata: namespaced().extend({ ownerReferences: owners.catch([]), deletionTimestamp: z.unknown().optional() }),
    spec: z.object({ nodeName, hostNetwork }).transform((spec) => ({
      ...(spec.nodeName && { nodeName: spec.nodeName }),
      hostNetwork: spec.hostNetwork ?? false,
    })),
    status: status.catch(undefined),
  })
  .transform(podOf);
