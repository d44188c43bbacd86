/** What an agent may do, and nothing else: each capability with the work that fails without it. */
export const CAPABILITIES = [
  { name: "bpf", why: "load programs, make and read maps (Linux 5.8)" },
  { name: "perfmon", why: "let the verifier accept loops and pointers that it checks less strictly without" },
  { name: "net_admin", why: "attach programs; make devices, addresses, routes and qdiscs" },
  { name: "sys_chroot", why: "compile users' programs in a root of their own" },
  { name: "setuid", why: "compile them as a user without rights" },
  { name: "setgid", why: "the same of its group" },
  { name: "sys_admin", why: "enter pods' network namespaces; mount bpffs, and sysfs to steer flows" },
] as const;

export const capabilityNames: readonly string[] = CAPABILITIES.map((capability) => capability.name);
