import { existsSync, readFileSync } from "node:fs";
import { arch, release } from "node:os";
import koffi from "koffi";
import { cgroupMounts } from "./cgroup.ts";
import { errnoName } from "./errors.ts";
import { bpf, libc } from "./ffi.ts";
import { withLibbpfLog } from "./log.ts";
import { deviceOf, mountView, namespaceStays, outlivesUs } from "./mounts.ts";
import { inFreshNamespace } from "./namespace.ts";
import { has, netfilterAnswers } from "./netlink/probe.ts";
import { Netlink } from "./netlink/socket.ts";
import { isBpffs } from "./pin.ts";
import { steeringRefusal } from "./steering.ts";
import { tcxSupported } from "./tcx.ts";

/** Result of a probe. `detail`: how it was determined. */
interface Seen {
  available: boolean;
  detail: string;
}

/** A kernel feature. */
export interface Probe {
  name: string;
  /** First kernel release with it; `null`: depends on configuration only. */
  minimum: string | null;
  /** Weir does not work without it. */
  required: boolean;
  /** Consequence of its absence, and what to do. */
  consequence: string;
  /** Every kernel since that release has it; otherwise it is a module or option. */
  certain: boolean;
}

export interface ProbeResult extends Probe, Seen {
  /** The consequence, if it is absent. */
  hint: string | null;
}

/** What probes may use: a netlink socket in a network namespace of its own, and the bpffs path. */
interface Stage {
  netlink: Netlink;
  bpffs: string;
}
type Entry = Probe & { check: (stage: Stage) => Seen };

const DEFAULT_BPFFS = "/sys/fs/bpf";
const SCHED_CLS = 3;
const HELPER = { redirectNeigh: 152, redirectPeer: 155, checkMtu: 163, tunnelKey: 21, fibLookup: 69 };
const CAP_SYS_PTRACE = 19n;
const RINGBUF = 27;
const HASH = 1;
const PROGRAM = { cgroupSockAddr: 18, sockOps: 13 };
/** mov r0, 0; exit */
const NOTHING = Buffer.from("b7000000000000009500000000000000", "hex");

const UNPROBED = "could not be probed: ";

/** Result of libbpf's probes: 1, 0 or −errno. */
function answer(result: number): Seen {
  if (result < 0) return { available: false, detail: `${UNPROBED}${errnoName(-result)}` };
  return { available: result === 1, detail: result === 1 ? "the kernel accepts it" : "the kernel refuses it" };
}
const helper = (id: number) => () =>
  answer(withLibbpfLog(() => bpf.libbpf_probe_bpf_helper(SCHED_CLS, id, null) as number).result);
const programType = (type: number) => () =>
  answer(withLibbpfLog(() => bpf.libbpf_probe_bpf_prog_type(type, null) as number).result);
const mapType = (type: number) => () =>
  answer(withLibbpfLog(() => bpf.libbpf_probe_bpf_map_type(type, null) as number).result);

function withFd(fd: number, fn: (fd: number) => Seen): Seen {
  if (fd < 0) return answer(fd);
  try {
    return fn(fd);
  } finally {
    libc.close(fd);
  }
}

function tcx(): Seen {
  const program = bpf.bpf_prog_load(SCHED_CLS, "weir_probe", "GPL", NOTHING, NOTHING.length / 8, null) as number;
  return withFd(program, (fd) => {
    const available = tcxSupported({ fd });
    return { available, detail: available ? "the kernel accepts the attach type" : "the attach type is unknown" };
  });
}

function batch(): Seen {
  return withFd(bpf.bpf_map_create(HASH, "weir_probe", 4, 4, 1, null) as number, (fd) => {
    const count = Buffer.alloc(4);
    count.writeUInt32LE(1);
    const options = { sz: 24, elem_flags: 0, flags: 0 };
    const result = bpf.bpf_map_update_batch(fd, Buffer.alloc(4), Buffer.alloc(4), count, options) as number;
    return { available: result === 0, detail: result === 0 ? "a batch was written" : errnoName(-result) };
  });
}

function file(path: string): Seen {
  const available = existsSync(path);
  return { available, detail: available ? path : `no ${path}` };
}

function filesystem(name: string): Seen {
  const available = readFileSync("/proc/filesystems", "utf8").split(/\s+/).includes(name);
  return { available, detail: available ? `${name} is in /proc/filesystems` : `no ${name} in /proc/filesystems` };
}

function bpffs({ bpffs: path }: Stage): Seen {
  const seen = filesystem("bpf");
  return seen.available && isBpffs(path) ? { available: true, detail: `mounted at ${path}` } : seen;
}

/** A bpffs that is not mounted yet will last if the parent mount is mounted for process 1 too. */
function lastingBpffs({ bpffs: path }: Stage): Seen {
  const view = mountView();
  if (isBpffs(path)) {
    const available = outlivesUs(deviceOf(path), view);
    return { available, detail: available ? `${path} stays` : `${path} goes with this mount namespace` };
  }
  const available = namespaceStays(view);
  return {
    available,
    detail: available ? "this mount namespace stays" : "this mount namespace goes with its processes",
  };
}

function cgroup2(): Seen {
  const [path] = cgroupMounts(readFileSync("/proc/self/mountinfo", "utf8"));
  if (path === undefined) return { available: false, detail: "not mounted" };
  return { available: true, detail: `mounted at ${path}${path.endsWith("/unified") ? " (hybrid)" : ""}` };
}

/** Inotify instances are limited per user, across all programs. */
function inotify(): Seen {
  const fd = libc.inotify_init1(0) as number;
  if (fd < 0) return { available: false, detail: errnoName(koffi.errno()) };
  libc.close(fd);
  return { available: true, detail: "one more instance was created" };
}

/** Namespaces of a process with more capabilities are only visible with CAP_SYS_PTRACE. */
function processNamespaces(): Seen {
  const status = readFileSync("/proc/thread-self/status", "utf8");
  const effective = BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(status)?.[1] ?? "0"}`);
  const available = ((effective >> CAP_SYS_PTRACE) & 1n) === 1n;
  return { available, detail: available ? "CAP_SYS_PTRACE is there" : "no CAP_SYS_PTRACE" };
}

function steering(): Seen {
  const refusal = steeringRefusal();
  return { available: refusal === undefined, detail: refusal ?? "set on a device" };
}

const qdisc = (kind: string) => (stage: Stage) => has(stage.netlink, "qdisc", kind);
const device = (kind: string) => (stage: Stage) => has(stage.netlink, "device", kind);

const need = (name: string, minimum: string | null, consequence: string, check: Entry["check"]): Entry => ({
  name,
  minimum,
  consequence,
  check,
  required: true,
  certain: true,
});
const like = (name: string, minimum: string | null, consequence: string, check: Entry["check"]): Entry => ({
  ...need(name, minimum, consequence, check),
  required: false,
});
/** A module or an option, which a newer kernel may lack. */
const optional = (entry: Entry): Entry => ({ ...entry, certain: false });

const OLD = "use a kernel of that release or newer";
const ENTRIES: readonly Entry[] = [
  optional(
    need("BTF", "4.18", "BPF programs have no types: use a kernel with CONFIG_DEBUG_INFO_BTF", () =>
      file("/sys/kernel/btf/vmlinux"),
    ),
  ),
  optional(need("bpffs", "4.4", "nothing can outlive the agent: use a kernel with CONFIG_BPF_SYSCALL", bpffs)),
  need(
    "bpffs that lasts",
    null,
    "rules would end with the agent: start it by nsenter --net=/run/netns/NAME, not by ip netns exec, or use --bpffs DIR with one that the machine has",
    lastingBpffs,
  ),
  need("BPF ring buffer", "5.8", `no drop events and no slow path: ${OLD}`, mapType(RINGBUF)),
  need("bpf_redirect_neigh", "5.10", `no delivery to the network outside: ${OLD}`, helper(HELPER.redirectNeigh)),
  need("bpf_redirect_peer", "5.10", `no fast delivery to pods: ${OLD}`, helper(HELPER.redirectPeer)),
  need("bpf_check_mtu", "5.12", `no packet-too-big answers: ${OLD}`, helper(HELPER.checkMtu)),
  need("bpf_fib_lookup", "4.18", `no routes of the host: ${OLD}`, helper(HELPER.fibLookup)),
  need("bpf_skb_set_tunnel_key", "4.3", `no overlay: ${OLD}`, helper(HELPER.tunnelKey)),
  like("tcx links", "6.6", "programs attach by clsact filters instead, which other tools may remove", tcx),
  like("map batch operations", "5.6", "large tables are written row by row, some five times slower", batch),
  optional(need("veth devices", "2.6.24", "no pod networking: load module veth", device("veth"))),
  optional(
    like("VXLAN devices", "3.7", "no overlay between nodes: load module vxlan or use routed mode", device("vxlan")),
  ),
  optional(like("ifb devices", "2.6.20", "nothing of Weir needs it now", device("ifb"))),
  optional(like("HTB qdisc", "2.4.20", "traffic limits are not enforced: load module sch_htb", qdisc("htb"))),
  optional(like("TBF qdisc", "2.4.20", "traffic limits are not exact: load module sch_tbf", qdisc("tbf"))),
  optional(
    like(
      "clsact qdisc",
      "4.5",
      "on kernels without tcx nothing can be attached: load module sch_ingress",
      qdisc("clsact"),
    ),
  ),
  optional(
    like(
      "fq qdisc",
      "3.12",
      "no pacing by departure time, impairments neither delay nor pace: load module sch_fq",
      qdisc("fq"),
    ),
  ),
  optional(
    like("netem qdisc", "2.6.0", "no delay, loss or reordering by netem: load module sch_netem", qdisc("netem")),
  ),
  optional(
    like(
      "packet steering",
      "2.6.35",
      "packets of a limited or delayed flow may overtake each other on a machine with several processors",
      steering,
    ),
  ),
  optional(
    like("nftables", "3.13", "nothing of Weir needs it now; load module nf_tables for tools that do", netfilterAnswers),
  ),
  optional(like("cgroup v2", "4.5", "host-network pods cannot be told apart: mount -t cgroup2 none DIR", cgroup2)),
  like(
    "processes' namespaces",
    null,
    "mode chained finds pods in /run/netns and /run/podman/netns alone: give the agent CAP_SYS_PTRACE",
    processNamespaces,
  ),
  like(
    "inotify instances",
    null,
    "changed manifests and programs are found by looking now and then, not at once: raise fs.inotify.max_user_instances",
    inotify,
  ),
  like("cgroup socket programs", "4.17", "no load balancing at connect", programType(PROGRAM.cgroupSockAddr)),
  like("sockops programs", "4.13", "no pacing of sockets", programType(PROGRAM.sockOps)),
];

/** Whether the kernel has a qdisc of this kind; false if that could not be determined. */
export function hasQdisc(kind: string): boolean {
  const netlink = inFreshNamespace(() => Netlink.open());
  try {
    return guarded(() => has(netlink, "qdisc", kind)).available;
  } finally {
    netlink.close();
  }
}

function guarded(check: () => Seen): Seen {
  try {
    return check();
  } catch (error) {
    return {
      available: false,
      detail: `${UNPROBED}${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** A probe that failed says nothing about the feature, so there is no consequence. */
function hintOf({ consequence }: Probe, { detail }: Seen): string {
  return detail.startsWith(UNPROBED) ? `unknown: it ${detail}` : `${consequence} (${detail})`;
}

/**
 * Probes the kernel's features without side effects: in a network namespace of its own, with programs that are not
 * attached. Takes some ten milliseconds; may load modules. Without root the probes report that they failed.
 */
export function runProbes(bpffs = DEFAULT_BPFFS): ProbeResult[] {
  let netlink: Netlink | undefined;
  const open = () => {
    netlink ??= inFreshNamespace(() => Netlink.open());
    return netlink;
  };
  const stage: Stage = {
    bpffs,
    get netlink() {
      return open();
    },
  };
  try {
    return ENTRIES.map(({ check, ...probe }) => {
      const seen = guarded(() => check(stage));
      return { ...probe, ...seen, hint: seen.available ? null : hintOf(probe, seen) };
    });
  } finally {
    netlink?.close();
  }
}

/** Result of examining this machine. */
export interface Examination {
  /** Kernel release. */
  kernel: string;
  arch: string;
  /** All required features exist. */
  ok: boolean;
  probes: ProbeResult[];
}

/** @param bpffs where programs are pinned */
export function examine(bpffs = DEFAULT_BPFFS): Examination {
  const probes = runProbes(bpffs);
  const ok = probes.every(({ required, available }) => available || !required);
  return { kernel: release(), arch: arch(), ok, probes };
}

/** Whether a kernel release (`6.1.0-18-amd64`) is at least a version. */
export function atLeast(kernel: string, version: string): boolean {
  const parts = (text: string) =>
    text
      .split(/[.-]/)
      .slice(0, 3)
      .map((part) => Number.parseInt(part, 10) || 0);
  const [have, want] = [parts(kernel), parts(version)];
  for (let i = 0; i < 3; i++) if ((have[i] ?? 0) !== (want[i] ?? 0)) return (have[i] ?? 0) > (want[i] ?? 0);
  return true;
}
