import type { Node, Pod } from "../../model/objects.ts";
import { schedule } from "../../model/workloads/index.ts";
import type { ApiPod, Requirement, SelectorTerm, Taint, Toleration } from "./objects.ts";

/** Key of the label and the taint of a lab's nodes; the value is the lab's name. */
export const LAB_KEY = "weir.dev/lab";
/** Names of schedulers whose pods the lab binds. */
const SCHEDULERS = ["default-scheduler", "weir-lab"];

/** The taint of a lab's nodes, which keeps other pods away. */
export function labTaint(lab: string): Taint {
  return { key: LAB_KEY, value: lab, effect: "NoSchedule" };
}

/**
 * True if one of the tolerations covers the taint. As in Kubernetes: without a key, `Exists` covers all taints; without
 * an effect, all effects.
 */
export function tolerates(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return (tolerations ?? []).some(({ key = "", operator = "", value = "", effect = "" }) => {
    if (effect !== "" && effect !== taint.effect) return false;
    if (key === "") return operator === "Exists";
    if (key !== taint.key) return false;
    return operator === "Exists" || ((operator === "" || operator === "Equal") && value === (taint.value ?? ""));
  });
}

/**
 * True if the lab may choose a node for this pod: it has no node, no scheduling gate and no other scheduler, and is not
 * being deleted.
 */
export function bindable({ metadata, spec, status }: ApiPod, taint: Taint): boolean {
  if (spec === undefined || (spec.nodeName ?? "") !== "" || metadata.deletionTimestamp !== undefined) return false;
  if (status?.phase === "Succeeded" || status?.phase === "Failed") return false;
  if ((spec.schedulingGates ?? []).length > 0 || !SCHEDULERS.includes(spec.schedulerName ?? "default-scheduler"))
    return false;
  return tolerates(spec.tolerations, taint);
}

/** True if the node matches the pod's required node affinity. Terms are alternatives; an empty term matches nothing. */
export function affine({ spec }: ApiPod, node: Node): boolean {
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return terms === undefined || terms.some((term) => meetsTerm(term, node));
}

function meetsTerm({ matchExpressions = [], matchFields = [] }: SelectorTerm, { metadata }: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchExpressions.every((one) => meets(one, metadata.labels)) &&
    matchFields.every((one) => meets(one, { "metadata.name": metadata.name }))
  );
}

function meets({ key, operator, values = [] }: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  const compare = (): number | undefined =>
    value === undefined || !/^-?\d+$/.test(value) ? undefined : Number(value) - Number(values[0]);
  const operators: Record<string, () => boolean> = {
    In: () => value !== undefined && values.includes(value),
    NotIn: () => value === undefined || !values.includes(value),
    Exists: () => value !== undefined,
    DoesNotExist: () => value === undefined,
    Gt: () => (compare() ?? Number.NaN) > 0,
    Lt: () => (compare() ?? Number.NaN) < 0,
  };
  return Object.hasOwn(operators, operator) ? (operators[operator]?.() ?? false) : false;
}

/**
 * Chooses the node for a pod beside those that have one (`nodeName`), with the lab's own scheduler; undefined if none
 * is suitable.
 */
export function chooseNode(raw: ApiPod, pod: Pod, placed: readonly Pod[], nodes: readonly Node[]): string | undefined {
  const fit = nodes.filter((node) => affine(raw, node));
  const names = new Set(fit.map((node) => node.metadata.name));
  const beside = placed.filter((one) => names.has(one.nodeName ?? "")).map(withoutSelector);
  const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
  return schedule([...beside, pod], fit, new Map()).bindings.get(key);
}

/** A bound pod stays on its node, whatever its selector. */
function withoutSelector(pod: Pod): Pod {
  return { ...pod, nodeSelector: undefined };
}
