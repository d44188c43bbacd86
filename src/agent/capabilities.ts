/** The capabilities that an agent needs, each with the work that requires it. */
export const CAPABILITIES = [
  { name: "bpf", why: "load programs, create and read maps (Linux 5.8)" },
  { name: "perfmon", why: "let the verifier accept loops and pointers that it checks less strictly without" },
  { name: "net_admin", why: "attach programs; create devices, addresses, routes and qdiscs" },
  { name: "sys_chroot", why: "change the root directory of the sandbox that compiles users' programs" },
  { name: "setuid", why: "compile them as an unprivileged user" },
  { name: "setgid", why: "compile them as an unprivileged group" },
  { name: "sys_admin", why: "enter pods' network namespaces; mount bpffs, and sysfs to steer flows" },
] as const;

export const capabilityNames: readonly string[] = CAPABILITIES.map((capability) => capability.name);
