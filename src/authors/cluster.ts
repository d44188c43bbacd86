import type { Endpoint, HostPod, NodeContext, Tap } from "../model/cluster.ts";
import type { RuleSettings } from "../model/limits.ts";
import { lookAlikes } from "../model/look-alikes.ts";
import { objectKey } from "../model/names.ts";
import type {
  EndpointSlice,
  Impairment,
  Limit,
  ManifestObject,
  Metadata,
  Namespace,
  Node,
  Pod,
  Problem,
  Service,
} from "../model/objects.ts";
import type { ProgramInForce } from "../model/programs.ts";
import type { Remembered } from "../model/remembered.ts";
import { sameValue } from "../model/same.ts";
import type { Source, Store } from "../store/store.ts";
import { hasRules } from "./readings.ts";
import { CHOICE_INDEXES, type Selectable, type Words, wordsOf } from "./words.ts";

/** Of a pod or Service: what can say rules. */
export type Speaker = Pick<Metadata, "uid" | "labels" | "annotations"> & { namespace: string; name: string };

/** A pod whose network is still there, though its object is gone. */
export const GONE = "gone";

/** Key of the one row that a collection of the node's own has. */
export const NODE = "node";

export interface ServiceRow {
  namespace: string;
  name: string;
  selector: Readonly<Record<string, string>>;
  clusterIPs: readonly string[];
}

const SERVICE_NAME = "kubernetes.io/service-name";

/** Kinds that other objects are made of, or that rules need not know. */
const READ: ReadonlySet<string> = new Set(["ConfigMap"]);

/**
 * What is known of the cluster, as rows that are trimmed to what is used. Keys are `namespace/name`, of nodes and
 * namespaces their names.
 */
export class Cluster {
  readonly node: Source<NodeContext>;
  readonly nodes: Source<Node>;
  /** All pods of the cluster. */
  readonly pods: Source<Pod>;
  /** This node's pods, with what can say rules. */
  readonly here: Source<Speaker | typeof GONE>;
  /** All pods as selectors see them. */
  readonly selectables: Source<Selectable>;
  /** Addresses of all pods that have any. */
  readonly addresses: Source<readonly string[]>;
  readonly services: Source<ServiceRow>;
  /** Services that say rules, or seem to. */
  readonly speakers: Source<Speaker>;
  readonly slices: Source<{ service: string; addresses: readonly string[] }>;
  readonly limits: Source<Words<Limit["spec"]>>;
  readonly impairments: Source<Words<Impairment["spec"]>>;
  /** Objects that an agent does nothing with. */
  readonly others: Source<Problem>;
  /** Pods whose network a runtime asked for. */
  readonly attachments: Source<Endpoint>;
  readonly taps: Source<Tap>;
  readonly hosts: Source<HostPod>;
  /** What of users' programs acts at pods. */
  readonly builds: Source<readonly ProgramInForce[]>;
  /** By pod, or `Service/namespace/name`. */
  readonly lastGood: Source<Remembered>;
  readonly #own: string | undefined;
  readonly #settings: RuleSettings;
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>();

  /** `own`: the node's name; undefined: pods of all nodes are this one's. */
  constructor(store: Store, own: string | undefined, settings: RuleSettings) {
    const same = sameValue;
    this.#own = own;
    this.#settings = settings;
    this.node = store.source<NodeContext>("node", { same });
    this.nodes = store.source<Node>("nodes", { same: sameNode });
    const bound = ({ nodeName }: Pod) => (nodeName === undefined ? [] : [nodeName]);
    this.pods = store.source<Pod>("pods", { indexes: { bound, tapped: isTapped(own), host: isHostPod(own) } });
    this.here = store.source<Speaker | typeof GONE>("pods here", { same });
    this.selectables = store.source<Selectable>("pods as selectors see them", {
      same,
      indexes: { namespace: ({ namespace }) => [namespace] },
    });
    this.addresses = store.source<readonly string[]>("pods' addresses", { same });
    this.services = store.source<ServiceRow>("services", { same });
    this.speakers = store.source<Speaker>("services with rules", { same });
    this.slices = store.source<{ service: string; addresses: readonly string[] }>("endpoint slices", {
      same,
      indexes: { service: ({ service }) => [service] },
    });
    this.limits = store.source<Words<Limit["spec"]>>("limits", { same, indexes: CHOICE_INDEXES });
    this.impairments = store.source<Words<Impairment["spec"]>>("impairments", { same, indexes: CHOICE_INDEXES });
    this.others = store.source<Problem>("other objects", { same });
    this.attachments = store.source<Endpoint>("attachments", { same, indexes: { ip: ({ ips }) => ips } });
    this.taps = store.source<Tap>("taps", { same });
    this.hosts = store.source<HostPod>("host pods", { same });
    this.builds = store.source<readonly ProgramInForce[]>("builds", { same });
    this.lastGood = store.source<Remembered>("last good rules", { same });
  }

  /** Takes an object of a source in; undefined: it is gone. `key`: `Kind/namespace/name`. */
  put(key: string, object: ManifestObject | undefined): void {
    const slash = key.indexOf("/");
    const [kind, name] = [key.slice(0, slash), key.slice(slash + 1)];
    const as = <K extends ManifestObject>() => object as K | undefined;
    if (kind === "Pod") this.#putPod(name, as<Pod>());
    else if (kind === "Node") write(this.nodes, name, as<Node>());
    else if (kind === "Namespace") this.#putNamespace(name, as<Namespace>());
    else if (kind === "Service") this.#putService(name, as<Service>());
    else if (kind === "EndpointSlice") this.#putSlice(name, as<EndpointSlice>());
    else if (kind === "Limit") write(this.limits, name, object && wordsOf(object as Limit));
    else if (kind === "Impairment") write(this.impairments, name, object && wordsOf(object as Impairment));
    else if (!READ.has(kind)) write(this.others, key, object && idleObject(object));
  }

  /** A pod that has or no longer has a network of Weir's. */
  putAttachment(key: string, endpoint: Endpoint | undefined): void {
    write(this.attachments, key, endpoint);
    this.#place(key);
  }

  #putPod(key: string, pod: Pod | undefined): void {
    const namespace = pod?.metadata.namespace ?? "";
    write(this.pods, key, pod);
    write(this.selectables, key, pod && this.#selectable(namespace, pod.metadata.labels));
    write(this.addresses, key, pod?.ips);
    this.#place(key);
  }

  /** One that has ended has rules for as long as it has a network. */
  #place(key: string): void {
    const pod = this.pods.get(key);
    const isAttached = this.attachments.has(key);
    const isOwn = pod !== undefined && (this.#own === undefined || pod.nodeName === this.#own) && !pod.ended;
    if (pod && (isOwn || isAttached)) this.here.set(key, speaker(pod.metadata));
    else if (isAttached) this.here.set(key, GONE);
    else this.here.delete(key);
  }

  #selectable(namespace: string, labels: Selectable["labels"]): Selectable {
    return { namespace, labels, namespaceLabels: this.#namespaces.get(namespace) ?? nameLabel(namespace) };
  }

  /** A namespace without an object has its name as its only label, as the API server gives it. */
  #putNamespace(name: string, object: Namespace | undefined): void {
    if (object) this.#namespaces.set(name, { ...nameLabel(name), ...object.metadata.labels });
    else this.#namespaces.delete(name);
    for (const key of this.selectables.keys("namespace", name)) {
      const pod = this.selectables.get(key);
      if (pod) this.selectables.set(key, this.#selectable(name, pod.labels));
    }
  }

  #putService(key: string, service: Service | undefined): void {
    if (!service) {
      this.services.delete(key);
      this.speakers.delete(key);
      return;
    }
    const { metadata, selector, clusterIPs } = service;
    this.services.set(key, { namespace: metadata.namespace, name: metadata.name, selector, clusterIPs });
    const speaks = hasRules(metadata) || lookAlikes(metadata, this.#settings).length > 0;
    write(this.speakers, key, speaks ? speaker(metadata) : undefined);
  }

  #putSlice(key: string, slice: EndpointSlice | undefined): void {
    const service = slice?.metadata.labels[SERVICE_NAME];
    const row =
      slice && service ? { service: `${slice.metadata.namespace}/${service}`, addresses: slice.addresses } : undefined;
    write(this.slices, key, row);
  }
}

function write<T>(source: Source<T>, key: string, row: T | undefined): void {
  if (row === undefined) source.delete(key);
  else source.set(key, row);
}

const nameLabel = (name: string) => ({ "kubernetes.io/metadata.name": name });

const speaker = ({ namespace, name, uid, labels, annotations }: Speaker): Speaker => ({
  ...{ namespace, name, uid, labels, annotations },
});

/** What of a node counts: not its conditions, which change every few seconds, nor its version. */
const sameNode = (one: Node, other: Node): boolean =>
  one.createdAt === other.createdAt && sameValue([one.addresses, one.podCIDRs], [other.addresses, other.podCIDRs]);

/** Index of pods whose devices are to be found: `here`. */
const isTapped = (own: string | undefined) => (pod: Pod) =>
  pod.nodeName === own && !pod.hostNetwork && (pod.ips?.length ?? 0) > 0 ? [NODE] : [];

/** Index of pods in the node's own network. */
const isHostPod = (own: string | undefined) => (pod: Pod) => (pod.nodeName === own && pod.hostNetwork ? [NODE] : []);

function idleObject({ kind, metadata }: ManifestObject): Problem {
  const message = "an agent reads Pods that are bound to nodes; the lab makes them of workloads";
  return { object: objectKey(kind, metadata), message, severity: "skipped" };
}
