import { nodeObject, type PodShape } from "./objects.ts";
import { limitObject, localPod, PEERS, remotePod, type SceneName, TEAM, type World } from "./world.ts";

/** One kind of change. Turns count from 0, and each turn makes another state. */
export interface Step {
  what: string;
  make(world: World, turn: number): void | Promise<void>;
  /** Prepares the state before the change; not measured. */
  prepare?(world: World, turn: number): void;
}

/** Kinds of changes that belong together: one creates what the next removes. */
export interface ChangeCase {
  kind: "change";
  name: string;
  scene: SceneName;
  steps: readonly Step[];
}
/** Starts of an agent. */
export interface SyncCase {
  kind: "sync";
  name: string;
  scene: SceneName;
}
/** An idle agent. */
export interface RestCase {
  kind: "rest";
  name: string;
  scene: SceneName;
}
export type ScaleCase = ChangeCase | SyncCase | RestCase;

/** Distance between the edited pods, so that no pod is edited twice in a row. */
const STRIDE = 37;
const own = ({ size }: World, turn: number): PodShape => localPod((turn * STRIDE) % size.local);
const remote = ({ size }: World, turn: number): PodShape =>
  remotePod((turn * STRIDE) % (size.pods - size.local), size.nodes - 1);

const annotate =
  (key: string, value: (turn: number) => string): Step["make"] =>
  (world, turn) =>
    world.edit(own(world, turn), ({ annotations }) => ({ annotations: { ...annotations, [key]: value(turn) } }));
const label =
  (of: typeof own): Step["make"] =>
  (world, turn) =>
    world.edit(of(world, turn), ({ labels }) => ({ labels: { ...labels, "example.com/build": `b-${turn}` } }));
const restart =
  (of: typeof own): Step["make"] =>
  (world, turn) =>
    world.edit(of(world, turn), () => ({ restarts: turn + 1 }));

const rate: Step = {
  what: "a limit's rate edited",
  make: annotate("weir.dev/bandwidth", (turn) => `${11 + turn} mbps egress`),
};
const loss: Step = {
  what: "a loss edited",
  make: annotate("weir.dev/loss", (turn) => `uniform egress ${1 + (turn + 1) / 1000}%`),
};

/** A new pod of the node: its object, its network, its addresses in its status. */
const newPod = (turn: number): PodShape => ({ ...localPod(turn), name: `new-${turn}`, uid: `new-${turn}` });
const pods: readonly Step[] = [
  {
    what: "a pod added",
    prepare: ({ site }, turn) => void site.makeNamespace(newPod(turn)),
    async make(world, turn) {
      world.add(newPod(turn));
      await world.site.connect([newPod(turn)], new AbortController().signal);
    },
  },
  {
    what: "a pod deleted",
    async make(world, turn) {
      const pod = newPod(turn);
      await world.site.client.deleteEndpoint(pod.namespace, pod.name);
      world.remove(pod);
    },
  },
];

const newNode = ({ size }: World, turn: number) => nodeObject({ index: size.nodes + 1 + (turn % 200) });
const nodes: readonly Step[] = [
  { what: "a node added", make: (world, turn) => world.site.api.put("nodes", newNode(world, turn)) },
  { what: "a node deleted", make: (world, turn) => world.site.api.remove("nodes", newNode(world, turn)) },
];

/** A new remote pod, each of another node, in the order of nodes. */
const newRemote = ({ size }: World, turn: number): PodShape => ({
  ...remotePod(size.pods + turn, size.nodes - 1),
  name: `new-remote-${turn}`,
});
const newPeer = (world: World, turn: number): PodShape => ({
  ...newRemote(world, turn),
  namespace: TEAM,
  labels: { app: PEERS },
});
const others = (what: string, pod: typeof newPeer): readonly Step[] => [
  { what: `${what} added`, make: (world, turn) => world.add(pod(world, turn)) },
  { what: `${what} deleted`, make: (world, turn) => world.remove(pod(world, turn)) },
];

const change = (name: string, ...steps: readonly Step[]): ChangeCase => ({
  ...{ kind: "change", name, steps },
  scene: name.split(" ")[0] as SceneName,
});

/** All cases, in the order in which they run. */
export const CASES: readonly ScaleCase[] = [
  { kind: "rest", name: "small rest", scene: "small" },
  { kind: "rest", name: "local rest", scene: "local" },
  change("local rate", rate),
  change("local loss", loss),
  change("local label", { what: "a label that is no rule", make: label(own) }),
  change("local status", { what: "a pod's status alone", make: restart(own) }),
  change("local pods", ...pods),
  change("local nodes", ...nodes),
  { kind: "sync", name: "cluster sync", scene: "cluster" },
  { kind: "rest", name: "cluster rest", scene: "cluster" },
  change("cluster rate", rate),
  change("cluster loss", loss),
  change("cluster limit", {
    what: "a Limit of five pods edited",
    make: ({ site }, turn) => {
      const { metadata, spec } = limitObject(501 + turn);
      site.api.put("limits", { metadata: { ...metadata, generation: 2 + turn }, spec });
    },
  }),
  change("cluster label", { what: "a remote pod's label that is no rule", make: label(remote) }),
  change("cluster status", { what: "a remote pod's status alone", make: restart(remote) }),
  change("cluster remote", ...others("a remote pod", newRemote)),
  change("cluster peers", ...others("a remote pod that a rule names", newPeer)),
  change("cluster pods", ...pods),
  change("cluster nodes", ...nodes),
  change("cluster beat", {
    what: "a node's status alone",
    make: ({ site, size }, turn) =>
      site.api.put("nodes", nodeObject({ index: 1 + ((turn * STRIDE) % (size.nodes - 1)), beat: turn + 1 })),
  }),
];
