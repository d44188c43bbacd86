/** A Kubernetes label selector. An empty one selects everything. */
export interface LabelSelector {
  matchLabels?: Readonly<Record<string, string>> | undefined;
  matchExpressions?: readonly SelectorTerm[] | undefined;
}
export interface SelectorTerm {
  key: string;
  operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  values?: readonly string[] | undefined;
}

/** Whether a selector matches these labels. */
export function selectsLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const has = (key: string) => Object.hasOwn(labels, key);
  if (!Object.entries(matchLabels).every(([key, value]) => has(key) && labels[key] === value)) return false;
  return matchExpressions.every(({ key, operator, values = [] }) => {
    if (operator === "Exists") return has(key);
    if (operator === "DoesNotExist") return !has(key);
    const found = has(key) && values.includes(labels[key] as string);
    return operator === "In" ? found : !found;
  });
}
