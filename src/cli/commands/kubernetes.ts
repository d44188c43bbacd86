import { resolve } from "node:path";
import { describe, UsageError } from "../errors.ts";
import { printable } from "../format.ts";
import type { Io } from "../io.ts";
import type { KubernetesApi, Modules, ObjectChange } from "../modules.ts";

/** `weir apply|diff|delete` against a Kubernetes API. */

export interface KubernetesFlags {
  kubeconfig?: string | undefined;
  context?: string | undefined;
  lab?: string | undefined;
  socket?: string | undefined;
}

type Documents = readonly { key: string; document: Readonly<Record<string, unknown>> }[];

/** Whether the flags select a Kubernetes API. */
export function meansKubernetes({ kubeconfig, context, lab, socket }: KubernetesFlags): boolean {
  if (kubeconfig === undefined && context === undefined) return false;
  if (lab !== undefined || socket !== undefined)
    throw new UsageError("--kubeconfig and --context exclude --lab and --socket");
  return true;
}

/** Opens the API that the flags select, and closes it after `work`. */
export async function withKubernetesApi<T>(
  io: Io,
  load: Pick<Modules, "kubernetes">,
  { kubeconfig, context }: KubernetesFlags,
  work: (kubernetes: KubernetesApi) => Promise<T>,
): Promise<T> {
  const file = kubeconfig === undefined ? undefined : resolve(io.cwd, kubeconfig);
  const { openKubernetesApi } = await load.kubernetes();
  const kubernetes = openKubernetesApi({ kubeconfig: file, context, env: io.env, signal: io.signal });
  try {
    return await work(kubernetes);
  } finally {
    kubernetes.close();
  }
}

/** Applies objects sequentially, namespaces first, and reports each result. Resolves to the exit code. */
export async function putAll(
  io: Io,
  kubernetes: KubernetesApi,
  documents: Documents,
  dryRun: boolean,
  say: (change: ObjectChange) => string,
): Promise<number> {
  let failed = 0;
  for (const { key, document } of inOrder(documents)) {
    try {
      io.stdout.write(say(await kubernetes.put(document, { dryRun })));
    } catch (error) {
      failed += tell(io, key, error);
    }
  }
  return failed > 0 ? 1 : 0;
}

/** Reports what apply would change. Resolves to the exit code: 0 nothing, 1 something, 2 not all could be compared. */
export async function compareAll(
  io: Io,
  kubernetes: KubernetesApi,
  documents: Documents,
  say: (change: ObjectChange) => string | undefined,
): Promise<number> {
  let code = 0;
  for (const { key, document } of inOrder(documents)) {
    try {
      const text = say(await kubernetes.put(document, { dryRun: true }));
      if (text === undefined) continue;
      io.stdout.write(text);
      code ||= 1;
    } catch (error) {
      tell(io, key, error);
      code = 2;
    }
  }
  return code;
}

/** Deletes objects sequentially. Resolves to the exit code. */
export async function deleteAll(
  io: Io,
  kubernetes: KubernetesApi,
  keys: readonly string[],
  dryRun: boolean,
): Promise<number> {
  let failed = 0;
  for (const key of new Set(keys)) {
    try {
      if (await kubernetes.remove(key, { dryRun })) io.stdout.write(`${dryRun ? "would delete" : "deleted"} ${key}\n`);
      else io.stderr.write(`! ${key}: does not exist\n`);
    } catch (error) {
      failed += tell(io, key, error);
    }
  }
  return failed > 0 ? 1 : 0;
}

const inOrder = (documents: Documents): Documents => {
  const isNamespace = ({ key }: { key: string }): boolean => key.startsWith("Namespace/");
  return [...documents.filter(isNamespace), ...documents.filter((one) => !isNamespace(one))];
};

function tell(io: Io, key: string, error: unknown): number {
  if (io.signal.aborted) throw error;
  io.stderr.write(`${printable(`✖ ${key}: ${describe(error)}`)}\n`);
  return 1;
}
