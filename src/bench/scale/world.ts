import type { Seed } from "./api.ts";
import type { ApiObject } from "./objects.ts";
import { namespaceObject, nodeName, nodeNetworks, nodeObject, type PodShape, podObject, remoteIps } from "./objects.ts";
import type { Site } from "./site.ts";

/** Size of a cluster, as seen by one node. */
export interface Size {
  /** Pods on the node whose agent is measured. */
  local: number;
  /** Pods in the cluster, including the local ones. */
  pods: number;
  nodes: number;
  /** Routes in the node's kernel: those to other nodes' pods, the rest foreign. */
  routes: number;
}

export type SceneName = "local" | "cluster" | "small";

export const SIZES: Readonly<Record<SceneName, { full: Size; quick: Size }>> = {
  local: {
    full: { local: 500, pods: 500, nodes: 3, routes: 0 },
    quick: { local: 12, pods: 12, nodes: 3, routes: 0 },
  },
  cluster: {
    full: { local: 10, pods: 10_000, nodes: 1000, routes: 64_000 },
    quick: { local: 4, pods: 300, nodes: 20, routes: 500 },
  },
  small: {
    full: { local: 10, pods: 10, nodes: 1, routes: 0 },
    quick: { local: 4, pods: 4, nodes: 1, routes: 0 },
  },
};

const TEAMS = 20;
const APPS = 100;
/** The namespace of the node's own pods. It also has the app that the Impairment's match selects. */
export const TEAM = "team-7";
export const PEERS = "app-7";
/** The Limit's selector, which matches every second pod of the node. */
const LIMITED = { tier: "limited" };

/** Annotations of a limit and a loss. */
export const ruled = (mbps: number, loss: number): Record<string, string> => ({
  "weir.dev/bandwidth": `${mbps} mbps egress`,
  "weir.dev/loss": `uniform egress ${loss}%`,
});

export const localPod = (index: number): PodShape => ({
  name: `own-${index}`,
  namespace: TEAM,
  node: nodeName(0),
  uid: `own-${index}`,
  annotations: ruled(10, 1),
  labels: { app: "own", ...(index % 2 === 0 ? LIMITED : {}) },
});

/** The nth pod of other nodes, from 0. @param others number of other nodes */
export function remotePod(index: number, others: number): PodShape {
  const node = 1 + (index % others);
  return {
    name: `web-${index}-6d4b75cb6d-x2x4z`,
    namespace: `team-${index % TEAMS}`,
    node: nodeName(node),
    uid: `web-${index}`,
    ips: remoteIps(node, Math.floor(index / others)),
    labels: { app: `app-${index % APPS}` },
  };
}

const rule = (kind: string, name: string, spec: object): ApiObject => ({
  metadata: { name, namespace: TEAM, uid: `uid-${kind}-${name}`, generation: 1 },
  spec,
});

/** A Limit for half of the node's pods. */
export const limitObject = (mbps: number): ApiObject =>
  rule("limit", "limited", { selector: { matchLabels: LIMITED }, ingress: `${mbps}M` });

/** A loss between one of the node's pods and the pods of an app, wherever they are. */
const impairmentObject = (): ApiObject =>
  rule("impairment", "peers", {
    ...{ pod: "own-0", direction: "ingress", loss: "1%" },
    match: { peers: [{ podSelector: { matchLabels: { app: PEERS } } }] },
  });

/** The API server's initial objects. */
export function seedOf({ local, pods, nodes }: Size): Seed {
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  return {
    namespaces: ["default", ...numbers(TEAMS).map((i) => `team-${i}`)].map(namespaceObject),
    nodes: numbers(nodes).map((index) => nodeObject({ index })),
    pods: [...numbers(local).map(localPod), ...numbers(pods - local).map((index) => remotePod(index, nodes - 1))].map(
      podObject,
    ),
    limits: [limitObject(500)],
    impairments: [impairmentObject()],
  };
}

/** Number of foreign routes. */
export function othersRoutes({ nodes, routes }: Size): number {
  const own = Array.from({ length: nodes - 1 }, (_, i) => nodeNetworks(i + 1).length);
  return Math.max(0, routes - own.reduce((sum, count) => sum + count, 0));
}

/** A site and the current state of its API server's pods. */
export class World {
  readonly site: Site;
  readonly size: Size;
  readonly #pods = new Map<string, PodShape>();

  constructor(site: Site, size: Size) {
    this.site = site;
    this.size = size;
  }

  /** Attaches the node's own pods. */
  async connect(signal: AbortSignal): Promise<void> {
    const own = Array.from({ length: this.size.local }, (_, i) => localPod(i));
    await this.site.connect(own, signal);
    const ips = new Map((await this.site.client.list("endpoints")).map((one) => [one.name, one.ips]));
    for (const pod of own) this.#pods.set(pod.name, { ...pod, ips: ips.get(pod.name) });
  }

  /** Edits a pod's current state. @param first its initial state */
  edit(first: PodShape, change: (now: PodShape) => Partial<PodShape>): void {
    const now = this.#pods.get(first.name) ?? first;
    const next = { ...now, ...change(now) };
    this.#pods.set(first.name, next);
    this.site.api.put("pods", podObject(next));
  }

  add(pod: PodShape): void {
    this.site.api.put("pods", podObject(pod));
  }

  remove(pod: PodShape): void {
    this.site.api.remove("pods", podObject(pod));
  }
}
