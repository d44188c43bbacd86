import { apiVersion } from "../../model/version.ts";
import type { ResultsClient } from "../../results/index.ts";
import type { KubernetesTarget } from "../record.ts";
import type { ApiObject } from "./objects.ts";

/**
 * The calls to a Kubernetes API that the lab uses; `connect` implements them with Weir's client. Paths are those of the
 * API.
 */
export interface KubeApi {
  /** For messages, e.g. `https://127.0.0.1:6443`. */
  readonly server: string;
  /** Why the files with the API's address and credentials cannot be used at present. */
  readonly trouble?: string | undefined;
  /** The object; undefined if there is none. Rejects with ApiFailure. */
  get(path: string): Promise<unknown>;
  post(path: string, body: object): Promise<unknown>;
  /** Strategic merge patch: lists such as conditions are merged by their key. */
  patch(path: string, body: object): Promise<unknown>;
  /** A missing object is not an error. */
  delete(path: string, options?: object): Promise<void>;
  /** Writes statuses of rules. */
  readonly results: ResultsClient;
  /**
   * Lists a collection and watches it until closed, and again after a lost connection. `optional`: the resource may not
   * exist (a CRD).
   */
  follow(path: string, onChange: () => void, optional?: boolean): Feed;
}

export type Connect = (target: KubernetesTarget) => Promise<KubeApi>;

/** A collection as last received. It keeps its content while the API cannot be reached. */
export interface Feed {
  /** True if it has been listed completely. Before that, a missing object does not mean that it does not exist. */
  readonly synced: boolean;
  readonly objects: readonly ApiObject[];
  /** Why it is out of date; undefined if it is not. */
  readonly trouble: string | undefined;
  /** The API does not know the resource. */
  readonly absent?: boolean;
  close(): Promise<void>;
}

/** An error answer of the API. `status` is undefined if there was no answer. */
export class ApiFailure extends Error {
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.name = "ApiFailure";
    this.status = status;
  }
}

export function statusOf(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === "number" ? status : undefined;
}

export const paths = {
  pods: "/api/v1/pods",
  configMaps: "/api/v1/configmaps",
  secrets: "/api/v1/secrets",
  nodes: "/api/v1/nodes",
  services: "/api/v1/services",
  namespaces: "/api/v1/namespaces",
  endpointSlices: "/apis/discovery.k8s.io/v1/endpointslices",
  limits: `/apis/${apiVersion}/limits`,
  impairments: `/apis/${apiVersion}/impairments`,
  leases: "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
  node: (name: string): string => `/api/v1/nodes/${name}`,
  pod: (namespace: string, name: string): string => `/api/v1/namespaces/${namespace}/pods/${name}`,
  events: (namespace: string): string => `/api/v1/namespaces/${namespace}/events`,
  lease: (name: string): string => `${paths.leases}/${name}`,
};
