import type { Document } from "../model/document.ts";
import type * as schema from "./schemas.ts";

/** An item as the agent gives it; the server adds the node and, to what belongs to a port, the pod. */
export type Plain<T> = Omit<T, "node" | "owner">;

/**
 * What the server asks of an agent. Methods give plain, JSON-compatible data read at the time of the call and throw
 * `ApiError` for any answer but success; anything else that they throw is answered with 500 `internal`.
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
  /** Pods, `namespace/name`, by the last part of their ports' names: a device, or what stands for a host-network pod. */
  owners(): Promise<ReadonlyMap<string, string>>;
  problems(): Promise<readonly schema.Problem[]>;
  endpoints(): Promise<readonly Plain<schema.Endpoint>[]>;
  /** What the node should hold. */
  topology(): Promise<Document>;
  doctor(): Promise<schema.Doctor>;
  /**
   * Gives a pod its network and returns once it is in force. Idempotent: the same spec again gives the same endpoint
   * with `created: false`. Throws `exists` (another uid has the name), `invalid`, `refused` (the kernel's words about this
   * pod), `unavailable` (the node's trouble).
   */
  putEndpoint(namespace: string, name: string, spec: schema.EndpointSpec): Promise<EndpointResult>;
  /**
   * Takes it away and returns once it is gone. A missing one succeeds, and so does one that is not `which`. Throws
   * `unavailable`.
   */
  deleteEndpoint(namespace: string, name: string, which: schema.EndpointWhich): Promise<void>;
  /** Objects that were applied. */
  objects(): Promise<readonly Plain<schema.AppliedObject>[]>;
  /**
   * Takes a set of manifests, all or none, and returns once they are in force. Throws `invalid` with the field's path,
   * `unavailable`.
   */
  putObjects(documents: readonly unknown[], options: { dryRun: boolean }): Promise<Plain<schema.ObjectChange>[]>;
  /** Forgets an applied object and returns once that is in force. A missing one succeeds. */
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
