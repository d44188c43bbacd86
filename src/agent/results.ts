import { objectKey } from "../model/names.ts";
import { objectResultsOf, type Results, ResultWriter } from "../results/index.ts";
import type { KubernetesClient, KubernetesWatch } from "../sources/kubernetes/index.ts";
import type { Agent } from "./agent.ts";
import type { AgentBackend } from "./backend.ts";

/** A Kubernetes API to which results are written. */
export interface ResultsApi {
  client: KubernetesClient;
  watch: Pick<KubernetesWatch, "statuses">;
}

/** Writes results to the API until the signal. Call `mark()` after each pass. */
export function reportResults(api: ResultsApi, agent: Agent, backend: AgentBackend, signal: AbortSignal): ResultWriter {
  const { node, log, manifests } = agent.parts;
  const collect = async (): Promise<Results> => {
    const problems = agent.standing.problems();
    const isRule = (object: string): boolean => /^(Limit|Impairment)\//.test(object);
    const refused = (manifests?.problems() ?? []).filter(({ object }) => isRule(object));
    const receipts = [...(await backend.limits()), ...(await backend.impairments())];
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
      nodes: new Set(agent.planner.nodes.keys()),
    };
  };
  return new ResultWriter({ client: api.client, node: node.name, collect, log, signal });
}
