import { excludeCidr, mergeCidr } from "cidr-tools";
import type { ImpairRule } from "../model/impair.ts";
import { impairmentRules } from "../model/impairments.ts";
import type { LimitRule, RuleSettings } from "../model/limits.ts";
import { objectKey } from "../model/names.ts";
import type { Limit, Problem } from "../model/objects.ts";
import { ONE_OFF } from "../model/one-off.ts";
import { type Candidate, RANK } from "../model/precedence.ts";
import type { ImpairmentSpec, PeerSpec, PodChoice } from "../model/rule-objects.ts";
import { parseBandwidthQuantity } from "../model/rules.ts";
import { type LabelSelector, selectsLabels } from "../model/selector.ts";

/** What objects made for rules say, and whom they say it of. */

/** A pod as selectors see it. */
export interface Selectable {
  namespace: string;
  labels: Readonly<Record<string, string>>;
  namespaceLabels: Readonly<Record<string, string>>;
}

/** Whom a Limit or an Impairment is about, and what it says but for whom its peers are. */
export interface Words<S extends PodChoice> {
  namespace: string;
  name: string;
  spec: S;
  /** It was made by one command. */
  oneOff: boolean;
}

/** What of a Limit or an Impairment counts: its status and versions do not. */
export function wordsOf<S extends PodChoice>({ metadata, spec }: { metadata: Limit["metadata"]; spec: S }): Words<S> {
  const { namespace, name, labels } = metadata;
  return { namespace, name, spec, oneOff: labels[ONE_OFF] === "true" };
}

/** Indexes of collections of words: pods and Services that they name. */
export const CHOICE_INDEXES = {
  pod: ({ namespace, spec }: Words<PodChoice>) => (spec.pod === undefined ? [] : [`${namespace}/${spec.pod}`]),
  service: ({ namespace, spec }: Words<PodChoice>) =>
    spec.service === undefined ? [] : [`${namespace}/${spec.service}`],
};

export function limitCandidates({ namespace, name, spec }: Words<Limit["spec"]>): Candidate<LimitRule>[] {
  const object = objectKey("Limit", { namespace, name });
  return (["ingress", "egress"] as const).flatMap((direction) => {
    const written = spec[direction];
    const parsed = written === undefined ? undefined : parseBandwidthQuantity(written, direction);
    if (!parsed?.ok) return [];
    const path = `spec.${direction}`;
    return parsed.value.map((one) => ({ rank: RANK.object, object, path, rule: { ...one, source: object } }));
  });
}

/** `peers`: whom its match means, as CIDRs. */
export function impairmentCandidates(
  words: Words<ImpairmentSpec>,
  peers: readonly string[] | undefined,
  settings: RuleSettings,
): Candidate<ImpairRule>[] {
  const { namespace, name, spec } = words;
  const object = objectKey("Impairment", { namespace, name });
  const rank = rankOf(words);
  const rules = impairmentRules({ metadata: { namespace, name }, spec }, peers, settings);
  return rules.map((rule) => ({ rank, object, path: "spec", rule }));
}

function rankOf({ spec, oneOff }: Words<ImpairmentSpec>): number {
  if (spec.override) return RANK.override;
  return oneOff ? RANK.oneOff : RANK.object;
}

/** ms since the epoch at which an impairment ends; undefined: never. */
export const endOf = ({ until }: ImpairmentSpec): number | undefined =>
  until === undefined ? undefined : Date.parse(until);

/** Of an object that chooses no pod that is known. `hasService`: the Service that it names is there. */
export function emptyChoice(
  kind: "Limit" | "Impairment",
  { namespace, name, spec }: Words<PodChoice>,
  hasService: boolean,
): Problem {
  const field = spec.pod !== undefined ? "pod" : spec.selector !== undefined ? "selector" : "service";
  const why = {
    pod: `there is no pod ${namespace}/${spec.pod}`,
    selector: `no pod of namespace ${namespace} has such labels`,
    service: hasService
      ? `Service ${namespace}/${spec.service} selects no pod`
      : `there is no Service ${namespace}/${spec.service}`,
  }[field];
  const message = `chooses no pod: ${why}`;
  return { object: objectKey(kind, { namespace, name }), path: `spec.${field}`, message, severity: "warning" };
}

/** Selects the pods that an Impairment's peers mean by labels. */
export interface PeerSelector {
  namespace: string;
  peers: readonly PeerSpec[];
}

export function selectsPeer({ namespace, peers }: PeerSelector, pod: Selectable): boolean {
  return peers.some(({ podSelector = ALL, namespaceSelector }) => {
    const inNamespace = namespaceSelector
      ? selectsLabels(namespaceSelector, pod.namespaceLabels)
      : pod.namespace === namespace;
    return inNamespace && selectsLabels(podSelector, pod.labels);
  });
}

const ALL: LabelSelector = {};

/** Is a peer meant by labels? */
export const isLabelled = ({ cidr, service }: PeerSpec): boolean => cidr === undefined && service === undefined;

/** Networks that peers name outright. */
export function namedNetworks(peers: readonly PeerSpec[]): string[] {
  return peers.flatMap(({ cidr, except = [] }) => {
    if (cidr === undefined) return [];
    return except.length > 0 ? excludeCidr([cidr], [...except]) : [cidr];
  });
}

/** The fewest networks that mean the same addresses, sorted. */
export const merged = (networks: readonly string[]): string[] => mergeCidr([...networks]).toSorted();

export const hostCidr = (ip: string): string => `${ip}/${ip.includes(":") ? 128 : 32}`;
