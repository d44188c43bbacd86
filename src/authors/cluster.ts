import type { RuleSettings } from "../model/limits.ts";
import { lookAlikes } from "../model/look-alikes.ts";
import { objectKey } from "../model/names.ts";
import type { HostPod, NodeContext, PodAttachment, Tap } from "../model/node-context.ts";
import type {
  EndpointSlice,
  Impairment,
  Limit,
  ManifestObject,
  Metadata,
  Namespace,
  Node,
  Pod,
  Service,
} from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import type { ProgramInForce } from "../model/programs.ts";
import type { Remembered } from "../model/remembered.ts";
import { sameValue } from "../model/same.ts";
import type { Source, Store } from "../store/store.ts";
import { PodAddresses } from "./pod-addresses.ts";
import { hasRules } from "./readings.ts";
import { CHOICE_INDEXES, type LabelledPod, type RuleRow, ruleRowOf } from "./rule-rows.ts";

/** The fields of a Pod or Service that can contain rules. */
export type Annotated = Pick<Metadata, "uid" | "labels" | "annotations"> & { namespace: string; name: string };

/** Marks a pod whose object is deleted but whose network still exists. */
export const GONE = "gone";

/** The key of the only row in collections that describe the node itself. */
export const NODE = "node";

export interface ServiceRow {
  namespace: string;
  name: string;
  selector: Readonly<Record<string, string>>;
  clusterIPs: readonly string[];
}

const SERVICE_NAME = "kubernetes.io/service-name";

/** Kinds that agents ignore without a problem: other objects refer to them. */
const READ: ReadonlySet<string> = new Set(["ConfigMap"]);

/**
 * Everything known about the cluster, as source collections of rows trimmed to the fields in use. Keys are
 * `namespace/name`, or the name for nodes and namespaces.
 */
export class Cluster {
  readonly node: Source<NodeContext>;
  readonly nodes: Source<Node>;
  /** All pods of the cluster. */
  readonly pods: Source<Pod>;
  /** Pods of this node, with the fields that can contain rules. */
  readonly localPods: Source<Annotated | typeof GONE>;
  /** All pods, with the fields that selectors match. */
  readonly labelledPods: Source<LabelledPod>;
  /** Addresses of all pods that have one, from their status. */
  readonly addresses: Source<readonly string[]>;
  readonly services: Source<ServiceRow>;
  /** Services with rules, or with keys that look like rules. */
  readonly annotatedServices: Source<Annotated>;
  readonly slices: Source<{ service: string; addresses: readonly string[] }>;
  readonly limits: Source<RuleRow<Limit["spec"]>>;
  readonly impairments: Source<RuleRow<Impairment["spec"]>>;
  /** Objects of kinds that an agent does not act on. */
  readonly others: Source<Problem>;
  /** Pods that a CNI call or a lab attached to Weir's network. */
  readonly attachments: Source<PodAttachment>;
  readonly taps: Source<Tap>;
  readonly hosts: Source<HostPod>;
  /** Users' programs in force at pods. */
  readonly builds: Source<readonly ProgramInForce[]>;
  /** Last valid rules, by pod or by `Service/namespace/name`. */
  readonly lastGood: Source<Remembered>;
  readonly #own: string | undefined;
  readonly #settings: RuleSettings;
  readonly #podAddresses: PodAddresses;
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>();

  /** @param own name of this node; undefined: every pod counts as this node's */
  constructor(store: Store, own: string | undefined, settings: RuleSettings) {
    const same = sameValue;
    this.#own = own;
    this.#settings = settings;
    this.node = store.source<NodeContext>("node", { same });
    this.nodes = store.source<Node>("nodes", { same: sameNode });
    const bound = ({ nodeName }: Pod) => (nodeName === undefined ? [] : [nodeName]);
    this.pods = store.source<Pod>("pods", { indexes: { bound, tapped: isTapped(own), host: isHostPod(own) } });
    this.localPods = store.source<Annotated | typeof GONE>("local pods", { same });
    this.labelledPods = store.source<LabelledPod>("labelled pods", {
      same,
      indexes: { namespace: ({ namespace }) => [namespace] },
    });
    this.addresses = store.source<readonly string[]>("pods' addresses", { same });
    this.#podAddresses = new PodAddresses(this.addresses, (key) => this.pods.get(key));
    this.services = store.source<ServiceRow>("services", { same });
    this.annotatedServices = store.source<Annotated>("services with rules", { same });
    this.slices = store.source<{ service: string; addresses: readonly string[] }>("endpoint slices", {
      same,
      indexes: { service: ({ service }) => [service] },
    });
    this.limits = store.source<RuleRow<Limit["spec"]>>("limits", { same, indexes: CHOICE_INDEXES });
    this.impairments = store.source<RuleRow<Impairment["spec"]>>("impairments", { same, indexes: CHOICE_INDEXES });
    this.others = store.source<Problem>("other objects", { same });
    this.attachments = store.source<PodAttachment>("attachments", { same, indexes: { ip: ({ ips }) => ips } });
    this.taps = store.source<Tap>("taps", { same });
    this.hosts = store.source<HostPod>("host pods", { same });
    this.builds = store.source<readonly ProgramInForce[]>("builds", { same });
    this.lastGood = store.source<Remembered>("last good rules", { same });
  }

  /** Takes in an object from a source; `undefined` means deleted. @param key `Kind/namespace/name` */
  put(key: string, object: ManifestObject | undefined): void {
    const slash = key.indexOf("/");
    const [kind, name] = [key.slice(0, slash), key.slice(slash + 1)];
    const as = <K extends ManifestObject>() => object as K | undefined;
    if (kind === "Pod") this.#putPod(name, as<Pod>());
    else if (kind === "Node") write(this.nodes, name, as<Node>());
    else if (kind === "Namespace") this.#putNamespace(name, as<Namespace>());
    else if (kind === "Service") this.#putService(name, as<Service>());
    else if (kind === "EndpointSlice") this.#putSlice(name, as<EndpointSlice>());
    else if (kind === "Limit") write(this.limits, name, object && ruleRowOf(object as Limit));
    else if (kind === "Impairment") write(this.impairments, name, object && ruleRowOf(object as Impairment));
    else if (!READ.has(kind)) write(this.others, key, object && idleObject(object));
  }

  /** Records that a pod was attached to Weir's network, or detached. */
  putAttachment(key: string, endpoint: PodAttachment | undefined): void {
    write(this.attachments, key, endpoint);
    this.#place(key);
  }

  #putPod(key: string, pod: Pod | undefined): void {
    const namespace = pod?.metadata.namespace ?? "";
    const before = this.pods.get(key);
    write(this.pods, key, pod);
    write(this.labelledPods, key, pod && this.#labelledPod(namespace, pod.metadata.labels));
    this.#podAddresses.change(key, before, pod);
    this.#place(key);
  }

  /** A pod that has ended keeps its rules as long as it is attached. */
  #place(key: string): void {
    const pod = this.pods.get(key);
    const isAttached = this.attachments.has(key);
    const isOwn = pod !== undefined && (this.#own === undefined || pod.nodeName === this.#own) && !pod.ended;
    if (pod && (isOwn || isAttached)) this.localPods.set(key, annotated(pod.metadata));
    else if (isAttached) this.localPods.set(key, GONE);
    else this.localPods.delete(key);
  }

  #labelledPod(namespace: string, labels: LabelledPod["labels"]): LabelledPod {
    return { namespace, labels, namespaceLabels: this.#namespaces.get(namespace) ?? nameLabel(namespace) };
  }

  /** A namespace without an object has only the name label that the API server would set. */
  #putNamespace(name: string, object: Namespace | undefined): void {
    if (object) this.#namespaces.set(name, { ...nameLabel(name), ...object.metadata.labels });
    else this.#namespaces.delete(name);
    for (const key of this.labelledPods.keys("namespace", name)) {
      const pod = this.labelledPods.get(key);
      if (pod) this.labelledPods.set(key, this.#labelledPod(name, pod.labels));
    }
  }

  #putService(key: string, service: Service | undefined): void {
    if (!service) {
      this.services.delete(key);
      this.annotatedServices.delete(key);
      return;
    }
    const { metadata, selector, clusterIPs } = service;
    this.services.set(key, { namespace: metadata.namespace, name: metadata.name, selector, clusterIPs });
    const hasRuleKeys = hasRules(metadata) || lookAlikes(metadata, this.#settings).length > 0;
    write(this.annotatedServices, key, hasRuleKeys ? annotated(metadata) : undefined);
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

const annotated = ({ namespace, name, uid, labels, annotations }: Annotated): Annotated => ({
  ...{ namespace, name, uid, labels, annotations },
});

/** Compares the fields of a node that are used. Others, such as conditions, change every few seconds. */
const sameNode = (one: Node, other: Node): boolean =>
  one.createdAt === other.createdAt && sameValue([one.addresses, one.podCIDRs], [other.addresses, other.podCIDRs]);

/** Index of this node's pods in another network, whose devices must be found. */
const isTapped = (own: string | undefined) => (pod: Pod) =>
  pod.nodeName === own && !pod.hostNetwork && (pod.ips?.length ?? 0) > 0 ? [NODE] : [];

/** Index of this node's pods with `hostNetwork: true`. */
const isHostPod = (own: string | undefined) => (pod: Pod) => (pod.nodeName === own && pod.hostNetwork ? [NODE] : []);

function idleObject({ kind, metadata }: ManifestObject): Problem {
  const message = "an agent reads Pods that are bound to nodes; the lab makes them of workloads";
  return { object: objectKey(kind, metadata), message, severity: "skipped" };
}
