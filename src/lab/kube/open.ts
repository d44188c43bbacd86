import type { KubernetesTarget } from "../record.ts";
import type { Connect, KubeApi } from "./api.ts";

/** Opens a lab's API with Weir's own client, or with `connect` if given. @throws KubernetesConfigError */
export async function openApi(connect: Connect | undefined, target: KubernetesTarget): Promise<KubeApi> {
  const open = connect ?? (await import("./connect.ts")).connect;
  return open(target);
}

/** The context of a lab, which does not follow later changes of the current context. @throws KubernetesConfigError */
export async function resolveTarget(
  { kubeconfig, context }: { kubeconfig: string; context?: string | undefined },
  connect: Connect | undefined,
): Promise<KubernetesTarget> {
  if (context !== undefined || connect !== undefined) return { kubeconfig, context: context ?? "" };
  return { kubeconfig, context: (await import("./connect.ts")).currentContext(kubeconfig) };
}
