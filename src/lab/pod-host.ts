import type { Client } from "../api/client.ts";
import type { ResolvedContainer } from "../model/environment.ts";
import type { ConfigMap, Container, Ended, Pod } from "../model/objects.ts";
import type { Images } from "./images.ts";
import type { Limiter } from "./limiter.ts";

/** A pod bound to a node, with the identity that the lab assigned. */
export interface BoundPod {
  pod: Pod;
  uid: string;
  node: string;
  resourceVersion: string;
}

/** The services of the lab that a pod uses. */
export interface PodHost {
  /** Directory of this pod. */
  dir: string;
  netns: string;
  cgroup: string;
  homeCgroup: string;
  /** Addresses of the node; pods with hostNetwork have these. */
  nodeAddresses: readonly string[];
  /** The node's network namespace. */
  nodeNetns: string;
  agent: Client;
  images: Images;
  /** The container with ConfigMaps and the pod's fields resolved; its problems list missing ones. */
  resolve(bound: BoundPod, container: Container, ips: readonly string[]): ResolvedContainer;
  configMaps(): readonly ConfigMap[];
  limiter: Limiter;
  onChange(): void;
  /** Called when the pod has got its addresses, or has ended and releases them. */
  onAddresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void;
}
