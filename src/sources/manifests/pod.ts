import { z } from "zod";
import { isAddress } from "../../model/ip.ts";
import { checkLabelName, checkSubdomain } from "../../model/names.ts";
import type { Ended, Metadata, Pod } from "../../model/objects.ts";
import { envFrom, envVar, resources } from "./env.ts";
import { annotations, checked, IF_SOUND, labels, listOf, maybe, namespaced, plainText } from "./fields.ts";
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
  })
  .transform(({ envFrom: from, volumeMounts, resources: asked, ...rest }) => ({
    ...rest,
    ...(asked && { resources: asked }),
    ...(from.length > 0 && { envFrom: from }),
    ...(volumeMounts.length > 0 && { volumeMounts }),
  }));

const uniqueNames = (list: readonly { name: string }[]) => new Set(list.map((one) => one.name)).size === list.length;

interface Mounting {
  containers: readonly { volumeMounts?: readonly { name: string }[] }[];
  volumes: readonly { name: string }[];
}

function checkMounts({ containers, volumes }: Mounting, context: z.RefinementCtx): void {
  const known = new Set(volumes.map((one) => one.name));
  for (const [index, { volumeMounts = [] }] of containers.entries()) {
    for (const [at, { name }] of volumeMounts.entries()) {
      if (known.has(name)) continue;
      const path = ["containers", index, "volumeMounts", at, "name"];
      context.addIssue({ code: "custom", path, message: `there is no volume ${name} in spec.volumes` });
    }
  }
}

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
    restartPolicy: maybe(z.enum(["Always", "OnFailure", "Never"])),
    serviceAccountName: maybe(checked(checkSubdomain)),
    volumes: listOf(volume).refine(uniqueNames, { ...IF_SOUND, error: "two volumes have one name" }),
  })
  .superRefine(checkMounts, IF_SOUND)
  .transform(({ nodeName, nodeSelector, hostNetwork, containers, restartPolicy, volumes, serviceAccountName }) => ({
    ...(nodeName && { nodeName }),
    ...(Object.keys(nodeSelector).length > 0 && { nodeSelector }),
    hostNetwork: hostNetwork ?? false,
    containers,
    restartPolicy: restartPolicy ?? ("Always" as const),
    ...(volumes.length > 0 && { volumes }),
    ...(serviceAccountName && { serviceAccountName }),
  }));

/** The part `template` of a workload; `policies` are the restart policies that its kind allows. */
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

/** The lab's expansion notes a pod's workload here; Kubernetes' ownerReferences say the same. */
const owners = listOf(z.object({ kind: z.string(), name: z.string(), controller: maybe(z.boolean()) }));

const podIPs = listOf(z.object({ ip: z.string() }));
const phase = z.unknown().optional();
const status = maybe(z.object({ podIPs, phase }));

interface Written {
  metadata: Metadata & { namespace: string; ownerReferences: z.output<typeof owners> };
  spec: Partial<z.output<typeof podSpec>>;
  status: z.output<typeof status>;
}

const endedBy = (said: unknown): Ended | undefined => (said === "Succeeded" || said === "Failed" ? said : undefined);

/** The addresses of one that has ended may be another's already. */
function podOf({ metadata: { ownerReferences, ...metadata }, spec, status: said }: Written): Pod {
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
  };
}

/** A Pod. */
export const pod = z
  .object({ kind: z.literal("Pod"), metadata: namespaced().extend({ ownerReferences: owners }), spec: podSpec, status })
  .transform(podOf);

/**
 * A Pod as an agent reads it: what it does not act on (containers, their variables, volumes) may hold anything, and costs
 * no rule.
 */
export const ruledPod = z
  .object({
    kind: z.literal("Pod"),
    metadata: namespaced().extend({ ownerReferences: owners.catch([]) }),
    spec: z.object({ nodeName, hostNetwork }).transform((spec) => ({
      ...(spec.nodeName && { nodeName: spec.nodeName }),
      hostNetwork: spec.hostNetwork ?? false,
    })),
    status: status.catch(undefined),
  })
  .transform(podOf);

/** Parts of a pod's spec that the lab does not act on: named, so that nobody waits for them. */
export const UNUSED_POD_FIELDS: Readonly<Record<string, string>> = {
  initContainers: "init containers are not run",
  ephemeralContainers: "ephemeral containers are not run",
  affinity: "affinity is not evaluated; use nodeName or nodeSelector",
  topologySpreadConstraints: "spread constraints are not evaluated; pods are spread evenly",
};
