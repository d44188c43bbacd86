import type { Client } from "../api/client.ts";
import type { ResolvedContainer } from "../model/environment.ts";
import type { ConfigMap, Container, Ended, Pod } from "../model/objects.ts";
import type { Images } from "./images.ts";
import type { Limiter } from "./limiter.ts";

/** A pod bound to a node, with the identity that the lab gave it. */
export interface BoundPod {
  pod: Pod;
  uid: string;
  node: string;
  resourceVersion: string;
}

/** What a pod needs of the lab around it. */
export interface PodHost {
  /** Directory of this pod. */
  dir: string;
  netns: string;
  cgroup: string;
  homeCgroup: string;
  /** Addresses of the node: those of pods that use its network. */
  nodeAddresses: readonly string[];
  /** The node's network namespace. */
  nodeNetns: string;
  agent: Client;
  images: Images;
  /** The container with ConfigMaps and the pod's own fields filled in; its problems say what is missing. */
  resolve(bound: BoundPod, container: Container, ips: readonly string[]): ResolvedContainer;
  configMaps(): readonly ConfigMap[];
  limiter: Limiter;
  onChange(): void;
  /** The pod has been given its addresses, or has ended and gives them back. */
  onAddresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void;
}
