import type { Document } from "../model/document.ts";
import type * as schema from "./schemas.ts";

/** An item as the agent returns it. The server adds the node and, to items of a port, the pod. */
export type Plain<T> = Omit<T, "node" | "owner">;

/**
 * The agent's interface for the server. Methods return plain, JSON-compatible data, read at the time of the call, and throw
 * `ApiError` for any answer but success; any other exception is answered with 500 `internal`.
 */
export interface Backend {
  /** The node's name; added to every item. */
  readonly node: string;
  status(): Promise<Plain<schema.Status>>;
  pods(): Promise<readonly Plain<schema.Pod>[]>;
  limits(): Promise<readonly Plain<schema.Limit>[]>;
  impairments(): Promise<readonly Plain<schema.Impairment>[]>;
  programs(): Promise<readonly Plain<schema.Program>[]>;
  ports(): Promise<readonly Plain<schema.Port>[]>;
  chains(): Promise<readonly Plain<schema.Chain>[]>;
  drops(): Promise<readonly Plain<schema.Drop>[]>;
  /** Pods, `namespace/name`, by the last part of their ports' names: a device, or the id of a host-network pod. */
  owners(): Promise<ReadonlyMap<string, string>>;
  problems(): Promise<readonly schema.Problem[]>;
  endpoints(): Promise<readonly Plain<schema.Endpoint>[]>;
  /** The node's desired state. */
  topology(): Promise<Document>;
  doctor(): Promise<schema.Doctor>;
  /**
   * Attaches a pod and returns once its network is in force. Idempotent: the same spec again returns the same endpoint
   * with `created: false`. Throws `exists` (another uid has the name), `invalid`, `refused` (the kernel's error about this
   * pod), `unavailable` (the node cannot do it now).
   */
  putEndpoint(namespace: string, name: string, spec: schema.EndpointSpec): Promise<EndpointResult>;
  /**
   * Detaches a pod and returns once its network is removed. Succeeds if there is no endpoint, or only one that is not `which`. Throws
   * `unavailable`.
   */
  deleteEndpoint(namespace: string, name: string, which: schema.EndpointWhich): Promise<void>;
  /** Objects that were applied. */
  objects(): Promise<readonly Plain<schema.AppliedObject>[]>;
  /**
   * Applies a set of manifests, all or none, and returns once they are in force. Throws `invalid` with the field's path,
   * `unavailable`.
   */
  putObjects(documents: readonly unknown[], options: { dryRun: boolean }): Promise<Plain<schema.ObjectChange>[]>;
  /** Deletes an applied object and returns once that is in force. Succeeds if it is missing. */
  deleteObject(object: ObjectName): Promise<void>;
}

/** Names an object: its kind, its namespace if the kind has one, its name. */
export interface ObjectName {
  kind: string;
  namespace?: string | undefined;
  name: string;
}

export interface EndpointResult {
  endpoint: Plain<schema.Endpoint>;
  /** False if it was in force before the call. */
  created: boolean;
}
