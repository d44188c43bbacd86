import * as z from "zod";
import { parseAddress, parseCidr } from "../../model/addresses.ts";
import { checkLabelName, checkSubdomain } from "../../model/names.ts";
import type { ManifestObject, Node, Secret } from "../../model/objects.ts";
import { quote } from "../../model/text.ts";
import { apiVersion } from "../../model/version.ts";
import { binaryData, configData, IF_SOUND, listOf, maybe, metadata, namespaced } from "./fields.ts";
import { pod, ruledPod } from "./pod.ts";
import { impairment, limit } from "./rules.ts";
import { endpointSlice, service } from "./services.ts";
import { cronJob, daemonSet, deployment, job, replicaSet, statefulSet } from "./workloads.ts";

const address = z.string().transform((text, context) => {
  const parsed = parseAddress(text);
  if (parsed.ok) return parsed.value;
  context.addIssue({ code: "custom", message: parsed.reason });
  return z.NEVER;
});
const cidr = z.string().transform((text, context) => {
  const parsed = parseCidr(text);
  if (parsed.ok) return { family: parsed.value.family, text };
  context.addIssue({ code: "custom", message: parsed.reason });
  return z.NEVER;
});

function onePerFamily(items: readonly { family: 4 | 6 }[]): boolean {
  return new Set(items.map((item) => item.family)).size === items.length;
}

/** A time in the API server's format, which sorts by time. */
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const node = z
  .object({
    kind: z.literal("Node"),
    metadata: metadata(checkSubdomain).extend({ creationTimestamp: z.unknown().optional() }),
    spec: maybe(
      z.object({
        podCIDR: maybe(cidr),
        podCIDRs: listOf(cidr).refine(onePerFamily, {
          ...IF_SOUND,
          error: "at most one network of each address family",
        }),
      }),
    ),
    status: maybe(z.object({ addresses: listOf(z.object({ type: z.string(), address: z.string() })) })),
  })
  .transform(({ kind, metadata: { creationTimestamp, ...meta }, spec, status }, context): Node => {
    const internal: z.output<typeof address>[] = [];
    for (const [index, one] of (status?.addresses ?? []).entries()) {
      if (one.type !== "InternalIP") continue;
      const parsed = address.safeParse(one.address);
      const path = ["status", "addresses", index, "address"];
      if (!parsed.success)
        context.addIssue({ code: "custom", path, message: `${quote(one.address)} is not an IP address` });
      else if (internal.every((other) => other.family !== parsed.data.family)) internal.push(parsed.data);
    }
    const networks = spec?.podCIDRs.length ? spec.podCIDRs : spec?.podCIDR ? [spec.podCIDR] : [];
    const text = (one: { text: string }) => one.text;
    const own = { kind, metadata: meta, addresses: internal.map(text), podCIDRs: networks.map(text) };
    const isTime = typeof creationTimestamp === "string" && UTC.test(creationTimestamp);
    return isTime ? { ...own, createdAt: creationTimestamp } : own;
  });

const secret = z
  .object({ kind: z.literal("Secret"), metadata: namespaced(), data: binaryData, stringData: configData })
  .transform(({ data, stringData, ...rest }): Secret => {
    const decoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64").toString("utf8")]);
    return { ...rest, data: { ...Object.fromEntries(decoded), ...stringData } };
  });
const namespace = z.object({ kind: z.literal("Namespace"), metadata: metadata(checkLabelName) });
const configMap = z
  .object({ kind: z.literal("ConfigMap"), metadata: namespaced(), data: configData, binaryData })
  .transform(({ binaryData: binary, ...rest }) => ({
    ...rest,
    ...(Object.keys(binary).length > 0 && { binaryData: binary }),
  }));

export interface KindSchema {
  apiVersion: string;
  namespaced: boolean;
  schema: z.ZodType<ManifestObject>;
  /** Only read by labs. */
  lab?: true;
  /** The schema for an agent, if it acts on less. */
  ruled?: z.ZodType<ManifestObject>;
  /** Path of the pod spec, if the kind has one. */
  podSpec?: readonly string[];
  /** Path of the pods' metadata, if it is not the object's own. */
  template?: readonly string[];
}

const workload = (apiVersion: string, schema: z.ZodType<ManifestObject>, ...template: string[]): KindSchema => ({
  apiVersion,
  namespaced: true,
  schema,
  podSpec: [...template, "spec"],
  template: [...template, "metadata"],
});

/** All kinds that are read. */
export const KINDS: ReadonlyMap<string, KindSchema> = new Map<string, KindSchema>([
  ["Pod", { apiVersion: "v1", namespaced: true, schema: pod, ruled: ruledPod, podSpec: ["spec"] }],
  ["Node", { apiVersion: "v1", namespaced: false, schema: node }],
  ["Namespace", { apiVersion: "v1", namespaced: false, schema: namespace }],
  ["Service", { apiVersion: "v1", namespaced: true, schema: service }],
  ["EndpointSlice", { apiVersion: "discovery.k8s.io/v1", namespaced: true, schema: endpointSlice }],
  ["Limit", { apiVersion, namespaced: true, schema: limit }],
  ["Impairment", { apiVersion, namespaced: true, schema: impairment }],
  ["ConfigMap", { apiVersion: "v1", namespaced: true, schema: configMap }],
  ["Secret", { apiVersion: "v1", namespaced: true, schema: secret, lab: true }],
  ["Deployment", workload("apps/v1", deployment, "spec", "template")],
  ["ReplicaSet", workload("apps/v1", replicaSet, "spec", "template")],
  ["StatefulSet", workload("apps/v1", statefulSet, "spec", "template")],
  ["DaemonSet", workload("apps/v1", daemonSet, "spec", "template")],
  ["Job", workload("batch/v1", job, "spec", "template")],
  ["CronJob", workload("batch/v1", cronJob, "spec", "jobTemplate", "spec", "template")],
]);
