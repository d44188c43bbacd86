import { excludeCidr, mergeCidr } from "cidr-tools";
import type { Endpoint } from "../model/cluster.ts";
import { memo } from "../model/memo.ts";
import { objectKey, podKey } from "../model/names.ts";
import type {
  EndpointSlice,
  Impairment,
  Limit,
  ManifestObject,
  Metadata,
  Pod,
  Problem,
  Service,
} from "../model/objects.ts";
import type { ImpairmentSpec, PeerSpec, PodChoice } from "../model/rule-objects.ts";
import { type LabelSelector, selectsLabels } from "../model/selector.ts";
import { type Group, groupsOf } from "./groups.ts";
import { emptyChoice } from "./unheard.ts";

type Namespaced = Metadata & { namespace: string };

/** Works out whom selectors and Services mean. Pods are looked at by namespace; one choice costs its namespace's pods. */
export class Selection {
  /** On objects that name what is not there. */
  readonly problems: Problem[] = [];
  readonly #byNamespace = new Map<string, Pod[]>();
  readonly #groups: ReadonlyMap<string, Group>;
  readonly #services = new Map<string, Service>();
  /** Addresses by Service, where EndpointSlices say who is behind it. */
  readonly #slices = new Map<string, string[]>();
  readonly #namespaces = new Map<string, Metadata>();
  readonly #addresses = new Map<string, readonly string[]>();
  /** Pods with an object or a network. */
  readonly #known = new Set<string>();

  constructor(
    objects: readonly ManifestObject[],
    pods: readonly Pod[],
    endpoints: readonly Pick<Endpoint, "namespace" | "name" | "ips">[],
  ) {
    for (const pod of pods) {
      const { namespace } = pod.metadata;
      const list = this.#byNamespace.get(namespace);
      if (list) list.push(pod);
      else this.#byNamespace.set(namespace, [pod]);
      this.#known.add(podKey(pod.metadata));
      if (pod.ips) this.#addresses.set(podKey(pod.metadata), pod.ips);
    }
    this.#groups = groupsOf(this.#byNamespace);
    for (const endpoint of endpoints) {
      this.#known.add(podKey(endpoint));
      this.#addresses.set(podKey(endpoint), endpoint.ips);
    }
    for (const object of objects) {
      if (object.kind === "Service") this.#services.set(podKey(object.metadata), object);
      else if (object.kind === "EndpointSlice") this.#addSlice(object);
      else if (object.kind === "Namespace") this.#namespaces.set(object.metadata.name, object.metadata);
    }
  }

  #addSlice({ metadata, addresses }: EndpointSlice): void {
    const name = metadata.labels[SERVICE_NAME];
    if (name === undefined) return;
    const key = `${metadata.namespace}/${name}`;
    const known = this.#slices.get(key);
    if (known) known.push(...addresses);
    else this.#slices.set(key, [...addresses]);
  }

  /** Keys of the pods that a Limit or an Impairment is about. One that chooses none is told; one that is over, not. */
  pods(object: Limit | Impairment, now: number): string[] {
    const { metadata, spec } = object;
    const chosen = this.#choose(metadata, spec);
    const until = "until" in spec && spec.until !== undefined ? Date.parse(spec.until) : Number.POSITIVE_INFINITY;
    if (until > now && !chosen.some((key) => this.#known.has(key))) {
      const service =
        spec.service === undefined ? undefined : this.#services.has(`${metadata.namespace}/${spec.service}`);
      this.problems.push(emptyChoice(object, service));
    }
    return chosen;
  }

  #choose(metadata: Namespaced, { pod, selector, service }: PodChoice): string[] {
    const { namespace } = metadata;
    if (pod !== undefined) return [`${namespace}/${pod}`];
    if (selector) return this.#select(namespace, selector).map(keyOf);
    const found = this.#services.get(`${namespace}/${service}`);
    return found ? this.service(found) : [];
  }

  /** Keys of the pods that a Service selects; without a selector none. */
  service({ metadata, selector }: Service): string[] {
    if (Object.keys(selector).length === 0) return [];
    return this.#select(metadata.namespace, asSelector(selector)).map(keyOf);
  }

  /** The other ends that an Impairment is narrowed to, as CIDRs, sorted; undefined: anybody. */
  peers({ metadata, spec }: Impairment): string[] | undefined {
    const peers = spec.match?.peers;
    if (!peers) return undefined;
    const found = peers.flatMap((peer, index) => this.#peer(metadata, peer, index));
    return merged(spec, found);
  }

  #peer(metadata: Namespaced, { cidr, except = [], podSelector, namespaceSelector, service }: PeerSpec, index: number) {
    if (cidr !== undefined) return except.length > 0 ? without(except, cidr) : [cidr];
    if (service) return this.#servicePeers(metadata, service, index);
    const namespaces = namespaceSelector ? this.#selectNamespaces(namespaceSelector) : [metadata.namespace];
    const pods = namespaces.flatMap((namespace) => this.#select(namespace, podSelector ?? ALL));
    return pods.flatMap((pod) => this.#addressesOf(keyOf(pod)));
  }

  /** Whom its EndpointSlices name, else its pods; and its own addresses, where traffic still carries them. */
  #servicePeers(
    metadata: Namespaced,
    { name, namespace = metadata.namespace }: NonNullable<PeerSpec["service"]>,
    index: number,
  ): string[] {
    const service = this.#services.get(`${namespace}/${name}`);
    if (!service) {
      const object = objectKey("Impairment", metadata);
      const message = `there is no Service ${namespace}/${name}: it stands for nobody`;
      this.problems.push({ object, path: `spec.match.peers[${index}].service`, message, severity: "warning" });
      return [];
    }
    const behind = this.#slices.get(`${namespace}/${name}`)?.map(hostCidr);
    const pods = () => this.service(service).flatMap((key) => this.#addressesOf(key));
    return [...service.clusterIPs.map(hostCidr), ...(behind ?? pods())];
  }

  #addressesOf(key: string): string[] {
    return (this.#addresses.get(key) ?? []).map(hostCidr);
  }

  #select(namespace: string, selector: LabelSelector): Pod[] {
    const pods = this.#byNamespace.get(namespace) ?? [];
    return (this.#groups.get(namespace)?.select(selector) ?? []).flatMap((index) => pods[index] ?? []);
  }

  /** A namespace without an object has its name as its only label, as the API server gives it. */
  #selectNamespaces(selector: LabelSelector): string[] {
    const names = new Set([...this.#namespaces.keys(), ...this.#byNamespace.keys()]);
    return [...names].filter((name) => {
      const labels = { "kubernetes.io/metadata.name": name, ...this.#namespaces.get(name)?.labels };
      return selectsLabels(selector, labels);
    });
  }
}

const ALL: LabelSelector = {};
const asSelector = memo((matchLabels: Readonly<Record<string, string>>): LabelSelector => ({ matchLabels }));
/** Remembered by what is written: most passes change neither it nor the addresses that it stands for. */
const merged = memo((_: ImpairmentSpec, found: readonly string[]) => mergeCidr([...found]).toSorted());
const without = memo((except: readonly string[], cidr: string) => excludeCidr([cidr], [...except]));

/** Label of an EndpointSlice: whose it is. */
const SERVICE_NAME = "kubernetes.io/service-name";

const keyOf = (pod: Pod): string => podKey(pod.metadata);
const hostCidr = (ip: string): string => `${ip}/${ip.includes(":") ? 128 : 32}`;
