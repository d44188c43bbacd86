import { ApiStatusError, type ObjectStatus, type RawObject, readStatus } from "../sources/kubernetes/index.ts";
import { conditionsOf, entriesOf, knownConditions } from "./conditions.ts";
import { applyStatus, managerOf, type ResultsClient, SHARED, seconds } from "./writer.ts";

/**
 * Takes what nodes that are gone said of an object out of its status, and makes its conditions of what the `left` nodes
 * said. Does nothing where there is nothing, or where another writes at the same time. Rejects with ApiStatusError.
 */
export async function forgetNodes(
  client: Pick<ResultsClient, "apply">,
  standing: ObjectStatus,
  { gone, left }: { gone: ReadonlySet<string>; left: ReadonlySet<string> },
): Promise<void> {
  const entries = entriesOf(standing.status).filter(({ name }) => gone.has(name));
  if (entries.length === 0) return;
  try {
    let raw: RawObject | undefined;
    for (const { name } of entries)
      raw = await applyStatus(client, standing, { nodes: [] }, { fieldManager: managerOf(name) });
    const now = raw && readStatus(standing.kind, raw);
    if (now === undefined) return;
    const fieldManager = SHARED;
    const { generation: observedGeneration, resourceVersion } = now;
    const accepted = knownConditions(now.status).filter(({ type }) => type !== "Enforced");
    const enforced = conditionsOf(now, [], left, seconds()).filter(({ type }) => type === "Enforced");
    const status = { conditions: [...accepted, ...enforced], observedGeneration };
    await applyStatus(client, now, status, { fieldManager, resourceVersion });
  } catch (error) {
    // Others of the cluster write too, or it was deleted.
    if (!(error instanceof ApiStatusError && (error.status === 409 || error.status === 404))) throw error;
  }
}
