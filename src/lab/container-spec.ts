import { writeFileSync } from "node:fs";
import type { Container, Pod } from "../model/objects.ts";
import type { ContainerSpec } from "./container.ts";
import { hostnameOf, launchOf } from "./launch.ts";
import { netnsPath } from "./names.ts";
import type { BoundPod, PodHost } from "./pod-host.ts";
import { imageRoot, machineRoot, makeWorkingDir } from "./rootfs.ts";
import { run } from "./run.ts";
import { arrange, type Binding, bindVolumes } from "./volumes.ts";

/** The settings that a container is started with. Creates its root and volumes in `dir`, anew each time. */
export function containerSpec(
  { host, bound, ips }: { host: PodHost; bound: BoundPod; ips: readonly string[] },
  container: Container,
  dir: string,
): ContainerSpec {
  const { pod } = bound;
  const { argv, env, image, workingDir } = launchOf(pod, container, host.images, host.resolve(bound, container, ips));
  const bindings: Binding[] = [
    { source: hostsPath(host), target: "/etc/hosts", directory: false, readOnly: false },
    ...bindVolumes(pod, container, host.configMaps(), { pod: host.dir, container: dir }),
  ];
  const more = makeWorkingDir(workingDir, { dir, image: image !== undefined, bindings });
  const mounted = arrange([...bindings, ...more]);
  const root =
    image === undefined ? machineRoot(dir, mounted) : imageRoot(dir, { lower: image.lower, workingDir }, mounted);
  return {
    dir,
    netns: netnsPath(host.netns),
    cgroup: host.cgroup,
    homeCgroup: host.homeCgroup,
    hostname: pod.hostNetwork ? bound.node : hostnameOf(pod),
    ...{ argv, env, workingDir },
    image: image !== undefined,
    rootfs: root.rootfs,
    mounts: root.mounts,
    sysctls: Object.fromEntries(sysctlsOf(pod, "kernel.")),
    log: `${dir}/log`,
  };
}

const hostsPath = ({ dir }: PodHost): string => `${dir}/hosts`;

/** Writes the files that all containers of a pod share. */
export function writeHosts(host: PodHost, pod: Pod, ips: readonly string[]): void {
  writeFileSync(hostsPath(host), hostsFile(pod, ips), { mode: 0o644 });
}

/** The pod's /etc/hosts: its own name with its addresses, and its host aliases. */
export function hostsFile(pod: Pod, ips: readonly string[]): string {
  const name = hostnameOf(pod);
  const whole = pod.subdomain && `${name}.${pod.subdomain}.${pod.metadata.namespace}.svc.cluster.local`;
  const own = ips.map((ip) => `${[ip, ...(whole ? [whole] : []), name].join(" ")}\n`);
  const aliases = (pod.hostAliases ?? []).map(({ ip, hostnames }) => `${[ip, ...hostnames].join(" ")}\n`);
  return ["127.0.0.1 localhost\n", "::1 localhost ip6-localhost ip6-loopback\n", ...own, ...aliases].join("");
}

function sysctlsOf({ sysctls = [] }: Pod, prefix: string): [string, string][] {
  return sysctls
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name, value }) => [name.replaceAll(".", "/"), value]);
}

/**
 * Sets the sysctls of a pod's network namespace. IPC sysctls are set for each container, which has its own IPC
 * namespace.
 */
export async function setSysctls(netns: string, pod: Pod): Promise<void> {
  for (const [path, input] of sysctlsOf(pod, "net."))
    await run("nsenter", [`--net=${netnsPath(netns)}`, "--", "tee", `/proc/sys/${path}`], { input });
}
