import type { ApiPod } from "./objects.ts";

/**
 * Features of a cluster that a lab's pods use and that the lab lacks, one sentence each.
 * @param absent kinds that the API does not know
 */
export function unsupported(pods: readonly ApiPod[], absent: readonly string[]): string[] {
  const tokens = pods.some(({ spec }) => spec?.volumes?.some((one) => one.projected !== undefined));
  return [
    ...(tokens ? ["tokens of service accounts are not mounted in a lab's pods"] : []),
    ...absent.map(
      (kind) => `the API does not know ${kind}s: apply deploy/crds/${kind.toLowerCase()}s.yaml to use them`,
    ),
  ];
}
