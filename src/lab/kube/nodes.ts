import { setTimeout as sleep } from "node:timers/promises";
import { forgetNodes } from "../../results/index.ts";
import { type RawObject, readStatus } from "../../sources/kubernetes/index.ts";
import { LabError, messageOf } from "../errors.ts";
import type { NodeNames } from "../names.ts";
import { type KubeApi, paths, statusOf } from "./api.ts";
import { foreign, type Health, micro, newLease, newNode, nodeStatus } from "./node.ts";
import type { ApiNode, ApiObject } from "./objects.ts";

/** Interval of renewing a node's lease and status, ms. */
const BEAT = 10_000;

export interface NodesOptions {
  api: KubeApi;
  lab: string;
  nodes: readonly NodeNames[];
  version: string;
  health: (node: NodeNames) => Promise<Health>;
  /** ms since the epoch. */
  now: () => number;
}

/** The lab's Node and Lease objects, renewed until closed. */
export class ApiNodes {
  readonly #options: NodesOptions;
  readonly #abort = new AbortController();
  readonly #troubles = new Map<string, string>();
  #beats: Promise<unknown> = Promise.resolve();

  constructor(options: NodesOptions) {
    this.#options = options;
  }

  /** Why nodes could not be renewed. */
  get troubles(): string[] {
    return [...this.#troubles.values()];
  }

  /**
   * Registers the nodes as not ready. Creates none if one of them belongs to someone else.
   * @throws LabError `node-taken`
   */
  async register(): Promise<void> {
    const { api, lab, nodes } = this.#options;
    await checkNodes(api, lab, nodes);
    await Promise.all(nodes.map((node) => this.#put(node, { ready: false, message: "its agent is being started" })));
  }

  /** Reports the state of every node, and goes on doing so. Resolves after the first time. */
  async start(): Promise<void> {
    const { nodes } = this.#options;
    await Promise.all(nodes.map(async (node) => this.#put(node, await this.#options.health(node))));
    this.#beats = Promise.all(nodes.map((node) => this.#beat(node)));
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#beats;
  }

  async #beat(node: NodeNames): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      await sleep(BEAT, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#put(node, await this.#options.health(node));
        this.#troubles.delete(node.name);
      } catch (error) {
        this.#troubles.set(node.name, `keep node ${node.name} alive: ${messageOf(error)}`);
      }
    }
  }

  /** Creates the Node if it is missing (a user may have deleted it), and renews status and lease. */
  async #put(node: NodeNames, health: Health): Promise<void> {
    const { api, lab, now, version } = this.#options;
    const time = new Date(now()).toISOString();
    const path = paths.node(node.name);
    const known = (await api.get(path)) as ApiNode | undefined;
    const own = known ?? ((await api.post(paths.nodes, newNode(lab, node))) as ApiNode);
    const status = nodeStatus(node, known, health, time, version);
    // The API merges addresses by their type, and would keep only one of two InternalIPs.
    const addresses = [...status.addresses, { $patch: "replace" }];
    await api.patch(`${path}/status`, { status: { ...status, addresses } });
    const lease = await api.get(paths.lease(node.name));
    if (lease === undefined) await this.#lease(own, time);
    else await api.patch(paths.lease(node.name), { spec: { holderIdentity: node.name, renewTime: micro(time) } });
  }

  /** A newly started API server creates the leases' namespace a moment later; the next renewal succeeds. */
  async #lease(node: ApiNode, time: string): Promise<void> {
    await this.#options.api.post(paths.leases, newLease(node, time)).catch((error) => {
      if (statusOf(error) !== 404) throw error;
    });
  }
}

/**
 * Checks that the nodes' names are free or the lab's own.
 * @throws LabError `node-taken`
 */
export async function checkNodes(api: KubeApi, lab: string, nodes: readonly NodeNames[]): Promise<void> {
  const found = await Promise.all(nodes.map((node) => api.get(paths.node(node.name)) as Promise<ApiNode | undefined>));
  for (const [index, node] of nodes.entries()) {
    const why = found[index] === undefined ? undefined : foreign(found[index], lab, node);
    if (why === undefined) continue;
    const hint = `choose another --name, or remove it with kubectl delete node ${node.name}`;
    throw new LabError("node-taken", `register node ${node.name}: ${why} (${hint})`);
  }
}

/**
 * Removes everything of a lab from the API: its pods (none may be running), its nodes and leases, and the statuses that
 * these wrote. Works in any state of the lab; objects of others stay.
 */
export async function removeNodes(api: KubeApi, lab: string, nodes: readonly NodeNames[]): Promise<void> {
  const gone = (await Promise.all(nodes.map((node) => removeNode(api, lab, node)))).flat();
  await forgetResults(api, new Set(gone));
}

async function forgetResults(api: KubeApi, gone: ReadonlySet<string>): Promise<void> {
  const list = async (path: string) => ((await api.get(path)) as { items?: RawObject[] } | undefined)?.items ?? [];
  const [limits, impairments, nodes] = await Promise.all([paths.limits, paths.impairments, paths.nodes].map(list));
  const left = new Set(nodes?.map(({ metadata }) => metadata.name));
  const statuses = [
    ...(limits ?? []).flatMap((raw) => readStatus("Limit", raw) ?? []),
    ...(impairments ?? []).flatMap((raw) => readStatus("Impairment", raw) ?? []),
  ];
  for (const standing of statuses) await forgetNodes(api.results, standing, { gone, left });
}

/** Returns the node's name unless it belongs to someone else. */
async function removeNode(api: KubeApi, lab: string, node: NodeNames): Promise<string[]> {
  const found = (await api.get(paths.node(node.name))) as ApiNode | undefined;
  if (found !== undefined && foreign(found, lab, node) !== undefined) return [];
  const query = new URLSearchParams({ fieldSelector: `spec.nodeName=${node.name}` });
  const list = (await api.get(`${paths.pods}?${query}`)) as { items?: ApiObject[] } | undefined;
  await Promise.all((list?.items ?? []).map((pod) => finalise(api, pod, { phase: "Failed", reason: "NodeShutdown" })));
  await api.delete(paths.node(node.name));
  await api.delete(paths.lease(node.name));
  return [node.name];
}

/**
 * Removes a pod that no longer runs from the API, as a kubelet does: its last status, then deletion with grace period
 * 0.
 */
export async function finalise(api: KubeApi, { metadata }: ApiObject, status: object): Promise<void> {
  const { namespace = "default", name, uid } = metadata;
  const path = paths.pod(namespace, name);
  const gone = (error: unknown): void => {
    const code = statusOf(error);
    if (code !== 404 && code !== 409) throw error;
  };
  await api.patch(`${path}/status`, { metadata: { uid }, status }).catch(gone);
  await api.delete(path, { gracePeriodSeconds: 0, preconditions: { uid } }).catch(gone);
}
