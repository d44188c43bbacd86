import * as z from "zod";
import { parseSchedule } from "../../model/cron.ts";
import { checkLabelName, checkSubdomain } from "../../model/names.ts";
import { selectsLabels } from "../../model/selector.ts";
import { isTimeZone } from "../../model/time-zone.ts";
import { checked, IF_SOUND, listOf, maybe, namespaced, whole } from "./fields.ts";
import { podTemplate } from "./pod.ts";
import { selector } from "./selector.ts";
import { isFields } from "./types.ts";

/** The most pods of a workload, so that a typing error does not fill the machine. */
const MOST = 10_000;
const count = maybe(whole(0, MOST));

const always = podTemplate(["Always"]);
const selected = { selector, template: always };

function checkSelector(spec: z.output<z.ZodObject<typeof selected>>, context: z.RefinementCtx): void {
  if (selectsLabels(spec.selector, spec.template.labels)) return;
  const message = "does not match the template's labels (spec.template.metadata.labels)";
  context.addIssue({ code: "custom", path: ["selector"], message });
}

const replicated = <K extends "Deployment" | "ReplicaSet">(kind: K) =>
  z
    .object({
      kind: z.literal(kind),
      metadata: namespaced(),
      spec: z.object({ ...selected, replicas: count }).superRefine(checkSelector, IF_SOUND),
    })
    .transform(({ metadata, spec }) => ({ kind, metadata, replicas: spec.replicas ?? 1, template: spec.template }));

export const deployment = replicated("Deployment");
export const replicaSet = replicated("ReplicaSet");

const claims = listOf(z.object({ metadata: z.object({ name: checked(checkLabelName) }) }));

/**
 * Adds each claim of a StatefulSet to its template as a volume, like its controller: it replaces the template's volume
 * of that name. Invalid ones are kept for the schema to refuse.
 */
function withClaims(spec: unknown): unknown {
  const { template, volumeClaimTemplates } = isFields(spec) ? spec : {};
  const found = claims.safeParse(volumeClaimTemplates);
  if (!found.success || found.data.length === 0 || !isFields(template) || !isFields(template["spec"])) return spec;
  const names = found.data.map((one) => one.metadata.name);
  const { volumes } = template["spec"];
  if (volumes !== undefined && volumes !== null && !Array.isArray(volumes)) return spec;
  const isOwn = (volume: unknown): boolean => !isFields(volume) || !names.some((name) => name === volume["name"]);
  const all = [
    ...(volumes ?? []).filter(isOwn),
    ...names.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
  ];
  return { ...(spec as object), template: { ...template, spec: { ...template["spec"], volumes: all } } };
}

export const statefulSet = z
  .object({
    kind: z.literal("StatefulSet"),
    metadata: namespaced(checkLabelName),
    spec: z.preprocess(
      withClaims,
      z
        .object({
          ...{ ...selected, replicas: count, volumeClaimTemplates: claims },
          ordinals: maybe(z.object({ start: count })),
        })
        .superRefine(checkSelector, IF_SOUND),
    ),
  })
  .transform(({ kind, metadata, spec }) => ({
    kind,
    metadata,
    replicas: spec.replicas ?? 1,
    start: spec.ordinals?.start ?? 0,
    template: spec.template,
  }));

export const daemonSet = z
  .object({
    kind: z.literal("DaemonSet"),
    metadata: namespaced(),
    spec: z.object(selected).superRefine(checkSelector, IF_SOUND),
  })
  .transform(({ kind, metadata, spec }) => ({ kind, metadata, template: spec.template }));

const jobSpec = z
  .object({
    completions: count,
    parallelism: count,
    backoffLimit: count,
    activeDeadlineSeconds: maybe(whole(1, Number.MAX_SAFE_INTEGER)),
    completionMode: maybe(z.enum(["NonIndexed", "Indexed"])),
    suspend: maybe(z.boolean()),
    template: podTemplate(["OnFailure", "Never"]),
  })
  .superRefine((spec, context) => {
    if (spec.completionMode !== "Indexed" || spec.completions !== undefined) return;
    context.addIssue({ code: "custom", path: ["completions"], message: "is required with completionMode Indexed" });
  })
  .transform(
    ({ completions, parallelism, backoffLimit, completionMode, suspend, template, activeDeadlineSeconds }) => ({
      template,
      job: {
        ...(completions !== undefined && { completions }),
        parallelism: parallelism ?? 1,
        backoffLimit: backoffLimit ?? 6,
        indexed: completionMode === "Indexed",
        suspend: suspend ?? false,
        ...(activeDeadlineSeconds !== undefined && { activeDeadlineSeconds }),
      },
    }),
  );

export const job = z
  .object({ kind: z.literal("Job"), metadata: namespaced(), spec: jobSpec })
  .transform(({ kind, metadata, spec }) => ({ kind, metadata, ...spec.job, template: spec.template }));

// a job's name is the cron job's plus up to eleven characters, and must fit into 63
const cronName = (value: string) => (value.length > 52 ? "is longer than 52 characters" : checkSubdomain(value));

export const cronJob = z
  .object({
    kind: z.literal("CronJob"),
    metadata: namespaced(cronName),
    spec: z.object({
      schedule: z.string().superRefine((value, context) => {
        const parsed = parseSchedule(value);
        if (!parsed.ok) context.addIssue({ code: "custom", message: parsed.reason });
      }),
      timeZone: maybe(z.string().refine(isTimeZone, "is not the name of a time zone, such as Europe/Berlin")),
      concurrencyPolicy: maybe(z.enum(["Allow", "Forbid", "Replace"])),
      successfulJobsHistoryLimit: count,
      suspend: maybe(z.boolean()),
      jobTemplate: z.object({ spec: jobSpec }),
    }),
  })
  .transform(({ kind, metadata, spec }) => ({
    kind,
    metadata,
    schedule: spec.schedule,
    ...(spec.timeZone !== undefined && { timeZone: spec.timeZone }),
    concurrencyPolicy: spec.concurrencyPolicy ?? ("Allow" as const),
    history: spec.successfulJobsHistoryLimit ?? 3,
    suspend: spec.suspend ?? false,
    job: spec.jobTemplate.spec.job,
    template: spec.jobTemplate.spec.template,
  }));
