import type { Node, Pod } from "../../model/objects.ts";
import { schedule } from "../../model/workloads/index.ts";
import type { ApiPod, Requirement, SelectorTerm, Taint, Toleration } from "./objects.ts";

/** Key of the label and of the taint of a lab's nodes; the value is the lab's name. */
export const LAB_KEY = "weir.dev/lab";
/** Schedulers in whose stead a lab binds pods. */
const SCHEDULERS = ["default-scheduler", "weir-lab"];

/** What keeps pods off a lab's nodes that are not meant for them. */
export function labTaint(lab: string): Taint {
  return { key: LAB_KEY, value: lab, effect: "NoSchedule" };
}

/** Does one of the tolerations cover the taint? As in Kubernetes: no key with `Exists` covers all, no effect every effect. */
export function tolerates(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return (tolerations ?? []).some(({ key = "", operator = "", value = "", effect = "" }) => {
    if (effect !== "" && effect !== taint.effect) return false;
    if (key === "") return operator === "Exists";
    if (key !== taint.key) return false;
    return operator === "Exists" || ((operator === "" || operator === "Equal") && value === (taint.value ?? ""));
  });
}

/** May the lab choose a node for this pod? One that has a node, waits for a gate, ends, or is another scheduler's is not. */
export function bindable({ metadata, spec, status }: ApiPod, taint: Taint): boolean {
  if (spec === undefined || (spec.nodeName ?? "") !== "" || metadata.deletionTimestamp !== undefined) return false;
  if (status?.phase === "Succeeded" || status?.phase === "Failed") return false;
  if ((spec.schedulingGates ?? []).length > 0 || !SCHEDULERS.includes(spec.schedulerName ?? "default-scheduler"))
    return false;
  return tolerates(spec.tolerations, taint);
}

/** Does the node meet the pod's required node affinity? Terms are alternatives; an empty one meets nothing. */
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

/** The node for a pod beside those that have theirs (`nodeName`), by the lab's own scheduler; undefined if none is fit. */
export function chooseNode(raw: ApiPod, pod: Pod, placed: readonly Pod[], nodes: readonly Node[]): string | undefined {
  const fit = nodes.filter((node) => affine(raw, node));
  const names = new Set(fit.map((node) => node.metadata.name));
  const beside = placed.filter((one) => names.has(one.nodeName ?? "")).map(withoutSelector);
  const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
  return schedule([...beside, pod], fit, new Map()).bindings.get(key);
}

/** Where a pod is, it is: its selector has had its say. */
function withoutSelector(pod: Pod): Pod {
  return { ...pod, nodeSelector: undefined };
}
