import { apiVersion } from "../../model/version.ts";
import type { ResultsClient } from "../../results/index.ts";
import type { KubernetesTarget } from "../record.ts";
import type { ApiObject } from "./objects.ts";

/** What the lab needs of a Kubernetes API; `connect` makes it of Weir's own client. Paths are those of the API. */
export interface KubeApi {
  /** For messages, e.g. `https://127.0.0.1:6443`. */
  readonly server: string;
  /** Why the files that say how to reach it cannot be used as they are now. */
  readonly trouble?: string | undefined;
  /** The object; undefined if there is none. Rejects with ApiFailure. */
  get(path: string): Promise<unknown>;
  post(path: string, body: object): Promise<unknown>;
  /** Strategic merge patch: lists such as conditions are merged by their key. */
  patch(path: string, body: object): Promise<unknown>;
  /** What is not there is no error. */
  delete(path: string, options?: object): Promise<void>;
  /** What becomes of rules is written by this. */
  readonly results: ResultsClient;
  /** Lists a collection and follows it until closed, across losses of the connection. `optional`: a CRD's, which may not be there. */
  follow(path: string, onChange: () => void, optional?: boolean): Feed;
}

export type Connect = (target: KubernetesTarget) => Promise<KubeApi>;

/** A collection as it was last seen. What the API could not tell for a while stays. */
export interface Feed {
  /** Has it been listed as a whole? Before that, what is missing in `objects` says nothing. */
  readonly synced: boolean;
  readonly objects: readonly ApiObject[];
  /** Why it is out of date; undefined while it is not. */
  readonly trouble: string | undefined;
  /** The API does not know the resource. */
  readonly absent?: boolean;
  close(): Promise<void>;
}

/** An answer of the API that is no success. `status` is undefined if there was none at all. */
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
