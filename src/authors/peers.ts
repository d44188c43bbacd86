import { MAX_PEER_NETWORKS } from "../model/impair.ts";
import { objectKey } from "../model/names.ts";
import type { ImpairmentSpec } from "../model/rule-objects.ts";
import { sameValue } from "../model/same.ts";
import type { Readable } from "../store/collection.ts";
import type { Derived, View } from "../store/derived.ts";
import type { Selected } from "../store/selected.ts";
import type { Store } from "../store/store.ts";
import type { Cluster } from "./cluster.ts";
import { FEW_NETWORKS, PeerRoom } from "./peer-room.ts";
import {
  endOf,
  hostCidr,
  isLabelled,
  type LabelledPod,
  merged,
  namedNetworks,
  type PeerSelector,
  type RuleRow,
  selectsPeer,
} from "./rule-rows.ts";
import type { ObjectSelections, Selections } from "./selections.ts";

/** The peers that each Impairment is limited to, as sorted CIDRs. An Impairment without a row applies to all peers. */
export function peersOf(store: Store, cluster: Cluster, selections: Selections): Derived<readonly string[]> {
  const { impairments, labelledPods } = cluster;
  const labelled = store.derive("peers by labels", [impairments], (key, view): PeerSelector | undefined => {
    const ruleRow = view.row(impairments, key);
    const peers = ruleRow?.spec.match?.peers?.filter(isLabelled) ?? [];
    return ruleRow && peers.length > 0 ? { namespace: ruleRow.namespace, peers } : undefined;
  });
  const pods = store.select("pods of peers", {
    selectors: labelled,
    rows: labelledPods,
    selects: selectsPeer,
    within: ({ namespace, peers }) => (peers.some((one) => one.namespaceSelector) ? undefined : namespace),
    groupOf: ({ namespace }) => namespace,
  });
  const peers = new Peers(cluster, selections, pods);
  return store.derive<readonly string[]>("peers", [impairments], (key, view) => peers.of(key, view), {
    same: sameValue,
  });
}

/** The Impairments whose peers find no room in the table. @param peers of each, from `peersOf` */
export function peerRoom(
  store: Store,
  peers: Readable<readonly string[]>,
  selections: Selections,
  impaired: ObjectSelections<ImpairmentSpec>,
): PeerRoom {
  const demands = store.derive<number>("rows of peers", [peers], (key, view) => {
    const networks = view.row(peers, key)?.length ?? 0;
    const ruleRow = networks > FEW_NETWORKS ? view.row(impaired.objects, key) : undefined;
    const until = ruleRow && endOf(ruleRow.spec);
    if (!ruleRow || (until !== undefined && view.isPast(until))) return undefined;
    const directions = ruleRow.spec.direction === "both" ? 2 : 1;
    return networks * directions * selections.localCount(key, impaired, view) || undefined;
  });
  return store.step("room for peers", (place) => new PeerRoom("room for peers", place, demands));
}

class Peers {
  readonly #cluster: Cluster;
  readonly #selections: Selections;
  readonly #pods: Selected<PeerSelector, LabelledPod>;

  constructor(cluster: Cluster, selections: Selections, pods: Selected<PeerSelector, LabelledPod>) {
    this.#cluster = cluster;
    this.#selections = selections;
    this.#pods = pods;
  }

  of(key: string, view: View): string[] | undefined {
    const ruleRow = view.row(this.#cluster.impairments, key);
    const peers = ruleRow?.spec.match?.peers;
    if (!ruleRow || !peers) return undefined;
    const ofPods = view.selected(this.#pods, key).flatMap((pod) => this.#addressesOf(pod, view));
    const ofServices = peers.flatMap((peer, index) => this.#ofService(ruleRow, peer.service, index, view));
    const named = namedNetworks(peers);
    return (named && merged([...named, ...ofPods, ...ofServices])) ?? this.#tooMany(ruleRow, view);
  }

  /** A rule with too many peers matches nobody: it must neither fill the table nor apply to all. */
  #tooMany(ruleRow: RuleRow<ImpairmentSpec>, view: View): string[] {
    const message = `they are more than ${MAX_PEER_NETWORKS} networks, so the peers match nobody; name fewer, or larger ones`;
    view.tell({ object: objectKey("Impairment", ruleRow), path: "spec.match.peers", message });
    return [];
  }

  /**
   * Addresses behind a Service: from its EndpointSlices, else of the pods that it selects. Its cluster IPs are
   * included: before translation packets carry them.
   */
  #ofService(
    ruleRow: RuleRow<ImpairmentSpec>,
    service: { name: string; namespace?: string | undefined } | undefined,
    index: number,
    view: View,
  ): string[] {
    if (!service) return [];
    const { services, slices } = this.#cluster;
    const key = `${service.namespace ?? ruleRow.namespace}/${service.name}`;
    const row = view.row(services, key);
    if (!row) {
      const object = objectKey("Impairment", ruleRow);
      const message = `there is no Service ${key}: the peer matches nobody`;
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

  /** The addresses from a pod's attachment, else those from its status. */
  #addressesOf(pod: string, view: View): string[] {
    const { attachments, addresses } = this.#cluster;
    return (view.row(attachments, pod)?.ips ?? view.row(addresses, pod) ?? []).map(hostCidr);
  }
}
