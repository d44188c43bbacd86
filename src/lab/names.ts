import { createHash } from "node:crypto";
import { checkLabelName, checkSubdomain } from "../model/names.ts";
import { LabError } from "./errors.ts";

/** State directory of labs: sockets, logs, bpffs. A reboot removes it, like everything that a lab creates. */
export const LABS_ROOT = "/run/weir/labs";
export const MAX_NODES = 64;

/** All paths and kernel names of a lab. They derive from the lab's name alone, so `down` works after any crash. */
export interface LabNames {
  name: string;
  dir: string;
  record: string;
  socket: string;
  log: string;
  bpf: string;
  cluster: string;
  images: string;
  /** Directory name in the cgroup v2 tree. */
  cgroup: string;
  /** Prefix of every network namespace of the lab. No lab's prefix is a prefix of another's: names contain no dots. */
  netnsPrefix: string;
  netNetns: string;
}

/**
 * Names and paths of lab `name`.
 * @throws LabError `bad-usage` unless it is 1 to 20 of [a-z0-9-] with a letter or digit at both ends.
 */
export function labNames(name: string, root: string = LABS_ROOT): LabNames {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?$/.test(name)) {
    throw new LabError(
      "bad-usage",
      `use lab name ${JSON.stringify(name)}: not valid (1 to 20 of a-z, 0-9 and "-", no "-" at either end)`,
    );
  }
  const dir = `${root}/${name}`;
  return {
    name,
    dir,
    record: `${dir}/lab.json`,
    socket: `${dir}/lab.sock`,
    log: `${dir}/lab.log`,
    bpf: `${dir}/bpf`,
    cluster: `${dir}/cluster`,
    images: `${dir}/images`,
    cgroup: `weir-${name}`,
    netnsPrefix: `weir.${name}.`,
    netNetns: `weir.${name}.net`,
  };
}

/** A node of a lab. `index` starts at 1. */
export interface NodeNames {
  index: number;
  name: string;
  netns: string;
  dir: string;
  socket: string;
  state: string;
  config: string;
  log: string;
  /** Underlay addresses with prefix length. */
  addresses: readonly [string, string];
  podCIDRs: readonly [string, string];
}

/** CIDRs of all nodes' pods. */
export const CLUSTER_CIDRS = ["10.244.0.0/16", "fd00:10:244::/48"] as const;

/** `prefix`: of the node's name, if other nodes exist beside the lab's. */
export function nodeNames(lab: LabNames, index: number, prefix = ""): NodeNames {
  const name = `${prefix}node-${index}`;
  const dir = `${lab.dir}/nodes/${name}`;
  return {
    index,
    name,
    netns: `${lab.netnsPrefix}${name}`,
    dir,
    socket: `${dir}/agent.sock`,
    state: `${dir}/state`,
    config: `${dir}/agent.yaml`,
    log: `${dir}/agent.log`,
    addresses: [`172.30.0.${index}/24`, `fd00:172:30::${index}/64`],
    podCIDRs: [`10.244.${index}.0/24`, `fd00:10:244:${index}::/64`],
  };
}

/** Path of a named network namespace. */
export function netnsPath(netns: string): string {
  return `/run/netns/${netns}`;
}

/**
 * A pod's network namespace: readable if short, otherwise a hash. No Kubernetes name contains "_", so the two forms
 * never collide.
 */
export function podNetns(lab: LabNames, namespace: string, pod: string): string {
  const readable = `${lab.netnsPrefix}${namespace}.${pod}`;
  if (readable.length <= 100) return readable;
  const hash = createHash("sha256").update(`${namespace}/${pod}`).digest("hex").slice(0, 32);
  return `${lab.netnsPrefix}pod_${hash}`;
}

/** True if it is a valid name of a Kubernetes namespace (RFC 1123 label). */
export function isNamespaceName(name: string): boolean {
  return checkLabelName(name) === undefined;
}

/** True if it is a valid name of a pod (RFC 1123 subdomain). Such a name is safe as a component of a path. */
export function isPodName(name: string): boolean {
  return checkSubdomain(name) === undefined;
}
