import { objectKey } from "./names.ts";
import type { ImpairmentSpec } from "./rule-objects.ts";
import { apiVersion } from "./version.ts";

/** Label of an Impairment created by `weir impair`, which is removed some time after its end. */
export const ONE_OFF = "weir.dev/one-off";
/** How long it is kept after its end, ms, so that its counters can be read. */
export const ONE_OFF_STAYS = 10_000;

const LONGEST_POD = 200;

/** What `weir impair` does to one pod. */
export interface OneOff {
  namespace: string;
  pod: string;
  /** Distinguishes it from others for the pod: lower-case letters and digits. */
  id: string;
  spec: Omit<ImpairmentSpec, "pod" | "selector" | "service" | "until">;
  /** ms since the epoch. */
  until: number;
}

/** Name of its object. */
export function oneOffName({ pod, id }: Pick<OneOff, "pod" | "id">): string {
  return `impair-${pod.slice(0, LONGEST_POD).replace(/[^a-z0-9]+$/, "")}-${id}`;
}

/** A rule's source for display; for a one-off of this pod without its id. */
export function withoutId(source: string, { namespace, pod }: Pick<OneOff, "namespace" | "pod">): string {
  const common = objectKey("Impairment", { namespace, name: oneOffName({ pod, id: "" }) });
  const isOneOff = source.startsWith(common) && /^[a-z0-9]+$/.test(source.slice(common.length));
  return isOneOff ? common.slice(0, -1) : source;
}

/** Its manifest, an Impairment. */
export function oneOffManifest(one: OneOff): Record<string, unknown> {
  const { namespace, pod, spec, until } = one;
  return {
    apiVersion,
    kind: "Impairment",
    metadata: { name: oneOffName(one), namespace, labels: { [ONE_OFF]: "true" } },
    spec: { pod, ...spec, until: new Date(until).toISOString() },
  };
}

/** When a one-off may be removed, ms since the epoch; undefined for any other object. */
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
