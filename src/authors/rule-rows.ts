import { mergeCidr } from "cidr-tools";
import { parseBandwidthQuantity } from "../model/bandwidth.ts";
import { type ImpairRule, MAX_PEER_NETWORKS } from "../model/impair.ts";
import { impairmentRules } from "../model/impairments.ts";
import type { LimitRule, RuleSettings } from "../model/limits.ts";
import { objectKey } from "../model/names.ts";
import { unite } from "../model/network-sets.ts";
import type { Limit } from "../model/objects.ts";
import { ONE_OFF } from "../model/one-off.ts";
import { type Candidate, RANK } from "../model/precedence.ts";
import type { Problem } from "../model/problem.ts";
import type { ImpairmentSpec, PeerSpec, PodChoice } from "../model/rule-objects.ts";
import { type LabelSelector, selectsLabels } from "../model/selector.ts";

/** The rules in Limit and Impairment objects, and the pods that they select. */

/** A pod, with the fields that selectors match. */
export interface LabelledPod {
  namespace: string;
  labels: Readonly<Record<string, string>>;
  namespaceLabels: Readonly<Record<string, string>>;
}

/** A Limit or Impairment, trimmed to the fields in use. */
export interface RuleRow<S extends PodChoice> {
  namespace: string;
  name: string;
  spec: S;
  /** It was created by `weir impair`. */
  oneOff: boolean;
}

/** Trims a Limit or Impairment: its status and versions are not used. */
export function ruleRowOf<S extends PodChoice>({
  metadata,
  spec,
}: {
  metadata: Limit["metadata"];
  spec: S;
}): RuleRow<S> {
  const { namespace, name, labels } = metadata;
  return { namespace, name, spec, oneOff: labels[ONE_OFF] === "true" };
}

/** Indexes by the pod or Service that an object names. */
export const CHOICE_INDEXES = {
  pod: ({ namespace, spec }: RuleRow<PodChoice>) => (spec.pod === undefined ? [] : [`${namespace}/${spec.pod}`]),
  service: ({ namespace, spec }: RuleRow<PodChoice>) =>
    spec.service === undefined ? [] : [`${namespace}/${spec.service}`],
};

export function limitCandidates({ namespace, name, spec }: RuleRow<Limit["spec"]>): Candidate<LimitRule>[] {
  const object = objectKey("Limit", { namespace, name });
  return (["ingress", "egress"] as const).flatMap((direction) => {
    const written = spec[direction];
    const parsed = written === undefined ? undefined : parseBandwidthQuantity(written, direction);
    if (!parsed?.ok) return [];
    const path = `spec.${direction}`;
    return parsed.value.map((one) => ({ rank: RANK.object, object, path, rule: { ...one, source: object } }));
  });
}

/** The rules of an Impairment as candidates. @param peers the CIDRs of its `match.peers` */
export function impairmentCandidates(
  ruleRow: RuleRow<ImpairmentSpec>,
  peers: readonly string[] | undefined,
  settings: RuleSettings,
): Candidate<ImpairRule>[] {
  const { namespace, name, spec } = ruleRow;
  const object = objectKey("Impairment", { namespace, name });
  const rank = rankOf(ruleRow);
  const rules = impairmentRules({ metadata: { namespace, name }, spec }, peers, settings);
  return rules.map((rule) => ({ rank, object, path: "spec", rule }));
}

function rankOf({ spec, oneOff }: RuleRow<ImpairmentSpec>): number {
  if (spec.override) return RANK.override;
  return oneOff ? RANK.oneOff : RANK.object;
}

/** The time at which an Impairment ends, ms since the epoch; undefined: never. */
export const endOf = ({ until }: ImpairmentSpec): number | undefined =>
  until === undefined ? undefined : Date.parse(until);

/** The problem of an object that selects no known pod. @param hasService the Service that it names exists */
export function emptyChoice(
  kind: "Limit" | "Impairment",
  { namespace, name, spec }: RuleRow<PodChoice>,
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

/** The problem of an Impairment whose peers are more than the table of peers has room for. */
export function noRoomForPeers(ruleRow: RuleRow<ImpairmentSpec>): Problem {
  const message =
    "its peers match nobody: those of all pods, for each pod and direction, are more networks than fit; name fewer, or larger ones";
  return { object: objectKey("Impairment", ruleRow), path: "spec.match.peers", message };
}

/** Matches the pods that an Impairment's peers select by labels. */
export interface PeerSelector {
  namespace: string;
  peers: readonly PeerSpec[];
}

export function selectsPeer({ namespace, peers }: PeerSelector, pod: LabelledPod): boolean {
  return peers.some(({ podSelector = ALL, namespaceSelector }) => {
    const inNamespace = namespaceSelector
      ? selectsLabels(namespaceSelector, pod.namespaceLabels)
      : pod.namespace === namespace;
    return inNamespace && selectsLabels(podSelector, pod.labels);
  });
}

const ALL: LabelSelector = {};

/** Whether a peer is given by labels. */
export const isLabelled = ({ cidr, service }: PeerSpec): boolean => cidr === undefined && service === undefined;

/** The CIDRs that peers name directly; undefined: too many. */
export function namedNetworks(peers: readonly PeerSpec[]): string[] | undefined {
  const cuts = peers.flatMap(({ cidr, except }) => (cidr === undefined ? [] : [{ cidr, except }]));
  return unite(cuts, MAX_PEER_NETWORKS);
}

/** The smallest set of CIDRs with the same addresses, sorted; undefined: too many. */
export function merged(networks: readonly string[]): string[] | undefined {
  const found = mergeCidr([...networks]);
  return found.length > MAX_PEER_NETWORKS ? undefined : found.toSorted();
}

export const hostCidr = (ip: string): string => `${ip}/${ip.includes(":") ? 128 : 32}`;
