import type { AgentConfig } from "../api/config.ts";
import type { Doctor } from "../api/schemas.ts";
import type { NetworkFunction } from "../model/function.ts";
import type { Problem } from "../model/problem.ts";
import type { Io } from "./io.ts";

/**
 * Interfaces of the programs behind `weir agent`, `uninstall`, `doctor`, `lab` and `bench`.
 * Each is loaded by the command that needs it. A number is the exit code.
 */
export interface Modules {
  agent(): Promise<AgentModule>;
  uninstall(): Promise<UninstallModule>;
  doctor(): Promise<DoctorModule>;
  lab(): Promise<LabModule>;
  bench(): Promise<BenchModule>;
  functions(): Promise<FunctionsModule>;
  capabilities(): Promise<CapabilitiesModule>;
  manifests(): Promise<ManifestsModule>;
  kubernetes(): Promise<KubernetesModule>;
}

/** A number is the exit code; anything else is 0. */
export type Result = Promise<unknown>;
export type LogLevel = "debug" | "info" | "warn" | "error";

export interface AgentOptions {
  config: AgentConfig;
  /** Leave everything in the kernel at the end, for the next start. */
  keep: boolean;
  logLevel: LogLevel;
}
export interface AgentModule {
  /** Runs until the signal; resolves once everything is removed, or kept. */
  runAgent(options: AgentOptions, context: { signal: AbortSignal }): Promise<void>;
}

export interface UninstallOptions {
  bpffs: string;
  state: string;
  socket: string;
  /** Only report what would be removed. */
  plan: boolean;
}
export interface UninstallModule {
  /** Removes everything that agents left on this machine. Returns the names, e.g. `link weir_host`. */
  uninstall(options: UninstallOptions, context: { signal: AbortSignal }): Promise<readonly string[]>;
}

export interface DoctorModule {
  /** Probes this machine without an agent. */
  examine(): Promise<Doctor>;
}

interface Container {
  /** The lab's. */
  name: string;
  namespace: string;
  pod: string;
  /** Default: the first one. */
  container?: string | undefined;
}
interface Change {
  /** The lab's. */
  name: string;
  files: readonly string[];
  /** Manifests from another source than files. */
  text?: string | undefined;
}
/** An object before and after a change; `before` is undefined if it would be new. */
export interface ObjectChange {
  key: string;
  before?: object | undefined;
  after: object;
}
/** An object as `weir get objects` shows it. */
export interface HeldObject {
  kind: string;
  namespace: string | null;
  name: string;
  manifest: Record<string, unknown>;
}
export interface LabModule {
  up(
    options: {
      name: string;
      files: readonly string[];
      nodes: number;
      overlay: "vxlan" | "direct";
      /** Path of a local archive or directory by image name. */
      images: Readonly<Record<string, string>>;
      programs?: string;
      /** Registers the lab's nodes at a Kubernetes API: absolute path of a kubeconfig; context, default: the current one. */
      kubernetes?: { kubeconfig: string; context?: string | undefined } | undefined;
    },
    io: Io,
  ): Result;
  apply(options: Change, io: Io): Result;
  /** The changes that `apply` would make. */
  changes(
    options: Change,
    io: Io,
  ): Promise<{ changes: readonly ObjectChange[]; problems: readonly Problem[]; previewed: readonly Problem[] }>;
  /** The lab's own objects. */
  objects(options: { name: string }, io: Io): Promise<readonly HeldObject[]>;
  del(options: Change & { keys?: readonly string[] | undefined; dryRun?: boolean | undefined }, io: Io): Result;
  exec(options: Container & { command: readonly string[] }, io: Io): Result;
  logs(options: Container, io: Io): Result;
  status(options: { name: string; output: "table" | "json" | "yaml" }, io: Io): Result;
  list(options: { output: "table" | "json" | "yaml" }, io: Io): Result;
  down(options: { name: string }, io: Io): Result;
  /** The process that `up` leaves running. @param capabilities those that the nodes' agents keep, e.g. `net_admin` */
  supervise(options: { name: string; capabilities: readonly string[] }, io: Io): Result;
}

export interface CapabilitiesModule {
  /** All capabilities that an agent needs, by setpriv's names. */
  capabilityNames: readonly string[];
}

export type ManifestInput = { path: string } | { text: string; name: string };
export interface ManifestsModule {
  /** Valid documents, with lists split into items, and the problems of others. */
  readManifestDocuments(inputs: readonly ManifestInput[]): {
    documents: readonly { key: string; document: Readonly<Record<string, unknown>> }[];
    problems: readonly Problem[];
  };
  /** The kind of a word in any case, singular or plural. */
  findKind(word: string): { kind: string; namespaced: boolean } | undefined;
  /** JSON Schemas of the specs of Weir's own kinds. */
  specSchemas(): Readonly<Record<"Limit" | "Impairment", object>>;
}

/** Objects at a Kubernetes API. */
export interface KubernetesApi {
  /** Default namespace of objects. */
  namespace: string;
  put(document: Readonly<Record<string, unknown>>, options: { dryRun: boolean }): Promise<ObjectChange>;
  /** Removes `Kind/namespace/name`; false if it does not exist. */
  remove(key: string, options: { dryRun: boolean }): Promise<boolean>;
  close(): void;
}
export interface KubernetesModule {
  openKubernetesApi(options: {
    kubeconfig?: string | undefined;
    context?: string | undefined;
    env: Readonly<Record<string, string | undefined>>;
    signal: AbortSignal;
  }): KubernetesApi;
}

export interface FunctionsModule {
  functions: readonly Pick<NetworkFunction, "name" | "kind" | "summary">[];
}

export type BenchName =
  | "all"
  | "limits"
  | "loss"
  | "repeat"
  | "matrix"
  | "live"
  | "survive"
  | "forward"
  | "flows"
  | "planning"
  | "footprint"
  | "steps"
  | "changes"
  | "shares"
  | "queue"
  | "order"
  | "sizes"
  | "many"
  | "cpu"
  | "pairs"
  | "scale";
export interface BenchModule {
  bench(
    options: {
      what: BenchName;
      out: string;
      quick: boolean;
      seconds?: number | undefined;
      packets?: number | undefined;
      pods?: number | undefined;
      sample?: number | undefined;
      only?: readonly string[] | undefined;
      weir?: string | undefined;
      against?: string | undefined;
      changes?: number | undefined;
      profile?: boolean | undefined;
    },
    io: Io,
  ): Result;
}
