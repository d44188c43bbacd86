/** What a kubelet sets for a pod unasked: sysctls of namespaces that are the pod's own, which harm no other pod. */
const SAFE = new Set([
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ping_group_range",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.tcp_wmem",
]);

/** A sysctl's name with dots (it may be written with slashes); undefined if a pod may not set it. */
export function podSysctl(name: string, { hostNetwork }: { hostNetwork: boolean }): string | undefined {
  const dotted = name.replaceAll("/", ".");
  if (!SAFE.has(dotted) || (hostNetwork && dotted.startsWith("net."))) return undefined;
  return dotted;
}
