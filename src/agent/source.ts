import { homedir } from "node:os";
import type { AgentConfig } from "../api/config.ts";
import { KubernetesClient, openAccess, watchKubernetes } from "../sources/kubernetes/index.ts";
import { type ManifestWatch, watchManifests } from "../sources/manifests/index.ts";
import type { ResultsApi } from "./results.ts";

export interface AgentSource extends ManifestWatch {
  /** Where results are written, if the source accepts them. */
  results?: ResultsApi | undefined;
}

/**
 * Opens the source of objects: manifests, a Kubernetes API, or none.
 * @throws KubernetesConfigError if no API is configured
 */
export function openSource(
  { manifests, kubernetes }: Pick<AgentConfig, "manifests" | "kubernetes">,
  onChange: (keys: ReadonlySet<string>) => void,
  signal: AbortSignal,
): AgentSource | undefined {
  if (manifests) return watchManifests({ path: manifests, reader: "agent", onChange, signal });
  if (!kubernetes) return undefined;
  const client = new KubernetesClient(openAccess({ ...kubernetes, env: process.env, home: homedir() }));
  const watch = watchKubernetes({ client, onChange, signal });
  return {
    synced: watch.synced,
    snapshot: () => watch.snapshot(),
    object: (key) => watch.object(key),
    get size() {
      return watch.size;
    },
    problems: () => watch.problems(),
    troubles: () => watch.troubles(),
    results: { client, watch },
    close: async () => {
      await watch.close();
      client.close();
    },
  };
}
