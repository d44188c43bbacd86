import { createHash } from "node:crypto";
import { join } from "node:path";
import { cgroupId, findPodCgroup, podCgroupCandidates } from "../kernel/index.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { HostPod, NodeContext } from "../model/node-context.ts";
import type { Pod } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";

/** Returns whether a pod (`namespace/name`) has rules. */
export type HasRules = (key: string) => boolean;

/** A pod's cgroup, by which its packets are recognized, or the reason why there is none. */
type Found = { cgroup: bigint } | { fault: string };

export interface HostPlaces {
  /** Folder with cgroups `pod<uid>`, if kubelet's are not used. */
  folder?: string | undefined;
}

/**
 * How long a pod keeps its port after its last rule is removed, ms: its queued packets return there. None is queued
 * longer than the longest delay.
 */
const KEPT_FOR = 60_000;

/**
 * Finds the cgroups of pods with `hostNetwork: true` that have rules, or had until recently: below `folder`, else where
 * kubelet creates them. Other pods are not looked for, so that no program is attached to the uplink without need.
 */
export class HostFinder {
  readonly #folder: string | undefined;
  readonly #known = new Map<string, HostPod>();
  /** When pods without rules are forgotten, by key. */
  readonly #ends = new Map<string, number>();
  readonly #now: () => number;
  #wanted: readonly Pod[] = [];
  #seen = "";

  constructor({ folder, now = () => performance.now() }: HostPlaces & { now?: () => number } = {}) {
    this.#folder = folder;
    this.#now = now;
  }

  /** Returns host pods, and problems for pods whose cgroup was not found. An unchanged pod keeps its identity. */
  find(node: NodeContext, pods: readonly Pod[], hasRules: HasRules): { hosts: HostPod[]; problems: Problem[] } {
    const here = pods.filter((pod) => pod.hostNetwork && pod.nodeName === node.name);
    this.#wanted = here.filter((pod) => this.#hasRules(pod, hasRules) || this.#isKept(pod));
    const looked = this.#look();
    this.#seen = signature(looked);
    const claims = new Map<bigint, number>();
    for (const one of looked.values()) {
      if ("cgroup" in one) claims.set(one.cgroup, (claims.get(one.cgroup) ?? 0) + 1);
    }
    const gone = [...this.#ends.keys()].filter((key) => !looked.has(key));
    for (const key of gone) this.#ends.delete(key);
    const before = new Map(this.#known);
    this.#known.clear();
    const problems: Problem[] = [];
    for (const pod of this.#wanted) {
      const key = podKey(pod.metadata);
      const found = settle(looked.get(key), claims, node.uplink);
      if ("fault" in found) {
        if (!this.#ends.has(key)) problems.push(problem(pod, found.fault));
        continue;
      }
      const now = hostPod(pod, found.cgroup, node);
      const last = before.get(key);
      this.#known.set(key, last && isSame(last, now) ? last : now);
    }
    return { hosts: [...this.#known.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)), problems };
  }

  /** Whether `find` would return something else. There is no notification of cgroups. */
  get isStale(): boolean {
    if ([...this.#ends.values()].some((end) => end <= this.#now())) return true;
    return this.#wanted.length > 0 && signature(this.#look()) !== this.#seen;
  }

  #hasRules({ metadata }: Pod, hasRules: HasRules): boolean {
    const key = podKey(metadata);
    if (!hasRules(key)) return false;
    this.#ends.delete(key);
    return true;
  }

  #isKept({ metadata }: Pod): boolean {
    const key = podKey(metadata);
    const end = this.#ends.get(key) ?? this.#now() + KEPT_FOR;
    const isKept = this.#known.has(key) && end > this.#now();
    if (isKept) this.#ends.set(key, end);
    else this.#ends.delete(key);
    return isKept;
  }

  #look(): Map<string, Found> {
    return new Map(this.#wanted.map((pod) => [podKey(pod.metadata), this.#cgroupOf(pod)]));
  }

  #cgroupOf({ metadata: { uid } }: Pod): Found {
    if (uid === undefined) return { fault: "its object has no uid, by which its cgroup is named" };
    try {
      podCgroupCandidates(uid); // throws on a uid that would lead to another path
      const own = this.#folder === undefined ? undefined : idIfThere(join(this.#folder, `pod${uid}`));
      const path = own === undefined ? findPodCgroup(uid)?.path : undefined;
      const cgroup = own ?? (path === undefined ? undefined : idIfThere(path));
      if (cgroup !== undefined) return { cgroup };
      return { fault: `no cgroup in the v2 hierarchy is that of a pod with uid ${uid}` };
    } catch (error) {
      return { fault: (error as Error).message };
    }
  }
}

/** A cgroup that two pods claim is used for neither: a pod must not choose whose rules it gets. */
function settle(found: Found | undefined, claims: ReadonlyMap<bigint, number>, uplink: string): Found {
  if (found === undefined || "fault" in found) return found ?? { fault: "it was not looked for" };
  if (uplink === "") return { fault: "no device of the node's is known as its uplink (set uplink)" };
  if ((claims.get(found.cgroup) ?? 0) > 1) return { fault: "another pod has its uid, and so its cgroup" };
  return found;
}

function hostPod({ metadata, ips }: Pod, cgroup: bigint, node: NodeContext): HostPod {
  const { namespace, name, uid = "" } = metadata;
  const hash = createHash("sha256").update(`${namespace}/${name}/${uid}`).digest("hex").slice(0, 11);
  return {
    namespace,
    name,
    id: `host${hash}`,
    device: node.uplink,
    mtu: node.uplinkMtu ?? node.mtu,
    cgroup,
    ips: ips ?? node.addresses,
  };
}

const isSame = (a: HostPod, b: HostPod): boolean =>
  a.id === b.id && a.device === b.device && a.mtu === b.mtu && a.cgroup === b.cgroup && a.ips.join() === b.ips.join();

function problem({ metadata }: Pod, fault: string): Problem {
  const notFound = `the pod uses its node's network, and ${fault}`;
  const message = `its rules are not enforced: ${notFound}`;
  return { object: objectKey("Pod", metadata), path: "spec.hostNetwork", message, severity: "warning", notFound };
}

function signature(looked: ReadonlyMap<string, Found>): string {
  return [...looked].map(([key, found]) => `${key} ${"cgroup" in found ? found.cgroup : found.fault}`).join("\n");
}

function idIfThere(path: string): bigint | undefined {
  try {
    return cgroupId(path);
  } catch {
    return undefined;
  }
}
