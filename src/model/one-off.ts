import { objectKey } from "./names.ts";
import type { ImpairmentSpec } from "./rule-objects.ts";
import { apiVersion } from "./version.ts";

/** Label of an impairment that one command made: whoever holds it removes it some time after its end. */
export const ONE_OFF = "weir.dev/one-off";
/** How long a one-off stays after its end, ms: for as long one can read what it did. */
export const ONE_OFF_STAYS = 10_000;

const LONGEST_POD = 200;

/** What one command does to one pod. */
export interface OneOff {
  namespace: string;
  pod: string;
  /** Tells it from others of the pod: lower-case letters and digits. */
  id: string;
  spec: Omit<ImpairmentSpec, "pod" | "selector" | "service" | "until">;
  /** ms since the epoch. */
  until: number;
}

/** Name of a one-off's object. */
export function oneOffName({ pod, id }: Pick<OneOff, "pod" | "id">): string {
  return `impair-${pod.slice(0, LONGEST_POD).replace(/[^a-z0-9]+$/, "")}-${id}`;
}

/** What a rule comes from, as rules tell it: of a one-off of this pod without what tells it from others. */
export function withoutId(source: string, { namespace, pod }: Pick<OneOff, "namespace" | "pod">): string {
  const common = objectKey("Impairment", { namespace, name: oneOffName({ pod, id: "" }) });
  const isOneOff = source.startsWith(common) && /^[a-z0-9]+$/.test(source.slice(common.length));
  return isOneOff ? common.slice(0, -1) : source;
}

/** A one-off as an Impairment's manifest. */
export function oneOffManifest(one: OneOff): Record<string, unknown> {
  const { namespace, pod, spec, until } = one;
  return {
    apiVersion,
    kind: "Impairment",
    metadata: { name: oneOffName(one), namespace, labels: { [ONE_OFF]: "true" } },
    spec: { pod, ...spec, until: new Date(until).toISOString() },
  };
}

/** When a one-off may be forgotten, ms since the epoch; undefined for any other object. */
export function forgottenAt(document: Readonly<Record<string, unknown>>): number | undefined {
  const { kind, metadata, spec } = document as {
    kind?: unknown;
    metadata?: { labels?: Record<string, string> };
    spec?: { until?: unknown };
  };
  if (kind !== "Impairment" || metadata?.labels?.[ONE_OFF] !== "true" || typeof spec?.until !== "string") {
    return undefined;
  }
  const end = Date.parse(spec.until);
  return Number.isNaN(end) ? undefined : end + ONE_OFF_STAYS;
}
