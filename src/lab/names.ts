import { createHash } from "node:crypto";
import { checkLabelName, checkSubdomain } from "../model/names.ts";
import { LabError } from "./errors.ts";

/** Where labs keep their state: sockets, logs, bpffs. Gone after a reboot, like everything that a lab makes. */
export const LABS_ROOT = "/run/weir/labs";
export const MAX_NODES = 64;

/** Every path and kernel name of a lab. All derive from the lab's name alone, so that `down` works after any crash. */
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
  /** Prefix of every network namespace of the lab. No lab's prefix starts another's: names hold no dots. */
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

/** One node of a lab. `index` starts at 1. */
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

/** Where all nodes' pods are. */
export const CLUSTER_CIDRS = ["10.244.0.0/16", "fd00:10:244::/48"] as const;

/** `prefix`: of the node's name, where others' nodes are beside the lab's. */
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

/** A pod's network namespace: readable while short, a hash beyond. "_" occurs in no namespace's name, so the two never meet. */
export function podNetns(lab: LabNames, namespace: string, pod: string): string {
  const readable = `${lab.netnsPrefix}${namespace}.${pod}`;
  if (readable.length <= 100) return readable;
  const hash = createHash("sha256").update(`${namespace}/${pod}`).digest("hex").slice(0, 32);
  return `${lab.netnsPrefix}pod_${hash}`;
}

/** Would Kubernetes take it for a namespace (RFC 1123 label)? */
export function isNamespaceName(name: string): boolean {
  return checkLabelName(name) === undefined;
}

/** Would Kubernetes take it for a pod (RFC 1123 subdomain)? Such a name is safe as one part of a path. */
export function isPodName(name: string): boolean {
  return checkSubdomain(name) === undefined;
}
