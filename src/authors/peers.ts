import { objectKey } from "../model/names.ts";
import type { ImpairmentSpec } from "../model/rule-objects.ts";
import { sameValue } from "../model/same.ts";
import type { Derived, View } from "../store/derived.ts";
import type { Selected } from "../store/selected.ts";
import type { Store } from "../store/store.ts";
import type { Cluster } from "./cluster.ts";
import type { Selections } from "./selections.ts";
import {
  hostCidr,
  isLabelled,
  merged,
  namedNetworks,
  type PeerSelector,
  type Selectable,
  selectsPeer,
  type Words,
} from "./words.ts";

/** The other ends that each Impairment is narrowed to, as CIDRs, sorted; no row: anybody. */
export function peersOf(store: Store, cluster: Cluster, selections: Selections): Derived<readonly string[]> {
  const { impairments, selectables } = cluster;
  const labelled = store.derive("peers by labels", [impairments], (key, view): PeerSelector | undefined => {
    const words = view.row(impairments, key);
    const peers = words?.spec.match?.peers?.filter(isLabelled) ?? [];
    return words && peers.length > 0 ? { namespace: words.namespace, peers } : undefined;
  });
  const pods = store.select("pods of peers", {
    selectors: labelled,
    rows: selectables,
    selects: selectsPeer,
    within: ({ namespace, peers }) => (peers.some((one) => one.namespaceSelector) ? undefined : namespace),
    groupOf: ({ namespace }) => namespace,
  });
  const peers = new Peers(cluster, selections, pods);
  return store.derive<readonly string[]>("peers", [impairments], (key, view) => peers.of(key, view), {
    same: sameValue,
  });
}

class Peers {
  readonly #cluster: Cluster;
  readonly #selections: Selections;
  readonly #pods: Selected<PeerSelector, Selectable>;

  constructor(cluster: Cluster, selections: Selections, pods: Selected<PeerSelector, Selectable>) {
    this.#cluster = cluster;
    this.#selections = selections;
    this.#pods = pods;
  }

  of(key: string, view: View): string[] | undefined {
    const words = view.row(this.#cluster.impairments, key);
    const peers = words?.spec.match?.peers;
    if (!words || !peers) return undefined;
    const ofPods = view.selected(this.#pods, key).flatMap((pod) => this.#addressesOf(pod, view));
    const ofServices = peers.flatMap((peer, index) => this.#ofService(words, peer.service, index, view));
    return merged([...namedNetworks(peers), ...ofPods, ...ofServices]);
  }

  /** Whom its EndpointSlices name, else its pods; and its own addresses, where traffic still carries them. */
  #ofService(
    words: Words<ImpairmentSpec>,
    service: { name: string; namespace?: string | undefined } | undefined,
    index: number,
    view: View,
  ): string[] {
    if (!service) return [];
    const { services, slices } = this.#cluster;
    const key = `${service.namespace ?? words.namespace}/${service.name}`;
    const row = view.row(services, key);
    if (!row) {
      const object = objectKey("Impairment", words);
      const message = `there is no Service ${key}: it stands for nobody`;
      view.tell({ object, path: `spec.match.peers[${index}].service`, message, severity: "warning" });
      return [];
    }
    const parts = view.keys(slices, "service", key);
    const behind =
      parts.length > 0
        ? parts.flatMap((part) => view.row(slices, part)?.addresses.map(hostCidr) ?? [])
        : view.selected(this.#selections.services, key).flatMap((pod) => this.#addressesOf(pod, view));
    return [...row.clusterIPs.map(hostCidr), ...behind];
  }

  /** What its runtime was given counts before what its status says. */
  #addressesOf(pod: string, view: View): string[] {
    const { attachments, addresses } = this.#cluster;
    return (view.row(attachments, pod)?.ips ?? view.row(addresses, pod) ?? []).map(hostCidr);
  }
}
