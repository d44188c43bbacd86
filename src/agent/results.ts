import { objectKey } from "../model/names.ts";
import { objectResultsOf, type Receipt, type Results, ResultWriter } from "../results/index.ts";
import type { KubernetesClient, KubernetesWatch } from "../sources/kubernetes/index.ts";
import type { Agent } from "./agent.ts";
import { impairmentItems, NO_USE } from "./views/impairments.ts";
import { limitItems } from "./views/limits.ts";
import { impairReadings, limitReadings } from "./views/measured.ts";

/** A Kubernetes API to which results are written. */
export interface ResultsApi {
  client: KubernetesClient;
  watch: Pick<KubernetesWatch, "statuses">;
}

const isRule = (object: string): boolean => /^(Limit|Impairment)\//.test(object);

/** The receipts of Limits and Impairments, without their counters: only objects get a status. */
function receiptsOf(agent: Agent): Receipt[] {
  const { planner, standing } = agent;
  const problemsOf = (object: string) => standing.problemsOf(object);
  const limits = { ...limitReadings(agent), measured: () => undefined, counted: () => undefined };
  const impairments = { ...impairReadings(agent), use: () => NO_USE };
  return [
    ...limitItems(planner, problemsOf, limits, isRule),
    ...impairmentItems(planner, problemsOf, impairments, isRule),
  ];
}

/** Writes results to the API until the signal. Call `mark()` after each pass. */
export function reportResults(api: ResultsApi, agent: Agent, signal: AbortSignal): ResultWriter {
  const { node, log, manifests } = agent.parts;
  const collect = async (): Promise<Results> => {
    const problems = agent.standing.problems();
    const refused = (manifests?.problems() ?? []).filter(({ object }) => isRule(object));
    const receipts = receiptsOf(agent);
    const uids = () => {
      const objects = manifests?.snapshot().objects ?? [];
      return new Map(objects.map(({ kind, metadata }) => [objectKey(kind, metadata), metadata.uid]));
    };
    let known: Map<string, string | undefined> | undefined;
    return {
      statuses: api.watch.statuses(),
      findings: objectResultsOf(receipts, problems, refused),
      problems,
      uid(object) {
        known ??= uids();
        return known.get(object);
      },
      nodes: agent.planner.nodes,
    };
  };
  return new ResultWriter({ client: api.client, node: node.name, collect, log, signal });
}
