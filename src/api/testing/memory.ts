import type { Document } from "../../model/document.ts";
import { version } from "../../model/version.ts";
import type { Backend, EndpointResult, ObjectName, Plain } from "../backend.ts";
import { ApiError } from "../errors.ts";
import type * as schema from "../schemas.ts";

/** The state of a `MemoryBackend`, which tests may change. */
export interface MemoryState {
  status: Plain<schema.Status>;
  pods: Plain<schema.Pod>[];
  limits: Plain<schema.Limit>[];
  impairments: Plain<schema.Impairment>[];
  programs: Plain<schema.Program>[];
  ports: Plain<schema.Port>[];
  chains: Plain<schema.Chain>[];
  drops: Plain<schema.Drop>[];
  problems: schema.Problem[];
  endpoints: Plain<schema.Endpoint>[];
  objects: Plain<schema.AppliedObject>[];
  topology: Document;
  doctor: schema.Doctor;
}

interface Manifest {
  kind: string;
  metadata?: { name?: string; namespace?: string };
}

/** An agent with plain data and without a kernel, for tests of the API and the command line. */
export class MemoryBackend implements Backend {
  readonly node: string;
  readonly state: MemoryState;

  constructor(node: string, state: Partial<MemoryState> = {}) {
    this.node = node;
    this.state = { ...emptyState(), ...state };
  }

  status = async (): Promise<Plain<schema.Status>> => this.state.status;
  pods = async (): Promise<Plain<schema.Pod>[]> => this.state.pods;
  limits = async (): Promise<Plain<schema.Limit>[]> => this.state.limits;
  impairments = async (): Promise<Plain<schema.Impairment>[]> => this.state.impairments;
  programs = async (): Promise<Plain<schema.Program>[]> => this.state.programs;
  ports = async (): Promise<Plain<schema.Port>[]> => this.state.ports;
  chains = async (): Promise<Plain<schema.Chain>[]> => this.state.chains;
  drops = async (): Promise<Plain<schema.Drop>[]> => this.state.drops;
  problems = async (): Promise<schema.Problem[]> => this.state.problems;
  endpoints = async (): Promise<Plain<schema.Endpoint>[]> => this.state.endpoints;
  owners = async (): Promise<Map<string, string>> => {
    const known = [...this.state.endpoints, ...this.state.pods];
    return new Map(known.map(({ device, namespace, name }) => [device ?? "", `${namespace}/${name}`]));
  };
  topology = async (): Promise<Document> => this.state.topology;
  objects = async (): Promise<Plain<schema.AppliedObject>[]> => this.state.objects;
  doctor = async (): Promise<schema.Doctor> => this.state.doctor;

  async putEndpoint(namespace: string, name: string, spec: schema.EndpointSpec): Promise<EndpointResult> {
    const found = this.#find(namespace, name);
    if (found && found.uid !== spec.uid) {
      throw new ApiError("exists", `put endpoint ${namespace}/${name}: in use by uid ${found.uid}`);
    }
    if (found) return { endpoint: found, created: false };
    const index = this.state.endpoints.length + 1;
    const endpoint = {
      namespace,
      name,
      ...spec,
      device: `weir${index.toString(16).padStart(11, "0")}`,
      mac: `02:00:00:00:00:${index.toString(16).padStart(2, "0")}`,
      ips: [`10.244.1.${index}`, `fd00:10:244:1::${index.toString(16)}`],
    };
    this.state.endpoints.push(endpoint);
    return { endpoint, created: true };
  }

  async deleteEndpoint(namespace: string, name: string, which: schema.EndpointWhich): Promise<void> {
    const found = this.#find(namespace, name);
    if (Object.entries(which).some(([field, value]) => found?.[field as keyof typeof which] !== value)) return;
    this.state.endpoints = this.state.endpoints.filter((each) => each !== found);
  }

  async putObjects(documents: readonly unknown[], options: { dryRun: boolean }): Promise<Plain<schema.ObjectChange>[]> {
    return documents.map((document, index) => this.#put(document as Manifest, `items[${index}]`, options.dryRun));
  }

  async deleteObject({ kind, namespace, name }: ObjectName): Promise<void> {
    const gone = this.#object(kind, namespace ?? null, name);
    this.state.objects = this.state.objects.filter((each) => each !== gone);
  }

  #put(document: Manifest, path: string, dryRun: boolean): Plain<schema.ObjectChange> {
    const { kind, metadata } = document;
    if (!metadata?.name) throw new ApiError("invalid", `${kind}: is required`, { path: `${path}.metadata.name` });
    const { name, namespace = "default" } = metadata;
    const manifest = { ...document, metadata: { ...metadata, namespace } };
    const before = this.#object(kind, namespace, name);
    const same = before !== undefined && JSON.stringify(before.manifest) === JSON.stringify(manifest);
    if (!dryRun) {
      this.state.objects = this.state.objects.filter((each) => each !== before);
      this.state.objects.push({ kind, namespace, name, manifest });
    }
    return { kind, namespace, name, action: !before ? "created" : same ? "unchanged" : "changed", problems: [] };
  }

  #object(kind: string, namespace: string | null, name: string): Plain<schema.AppliedObject> | undefined {
    return this.state.objects.find((one) => one.kind === kind && one.namespace === namespace && one.name === name);
  }

  #find(namespace: string, name: string): Plain<schema.Endpoint> | undefined {
    return this.state.endpoints.find((each) => each.namespace === namespace && each.name === name);
  }
}

function emptyState(): MemoryState {
  return {
    status: {
      version,
      abi: 1,
      state: "ready",
      reason: null,
      kernel: "6.1.0-18-amd64",
      pid: 4242,
      startedAt: "2026-01-02T03:04:05.000Z",
      pods: 0,
      problems: [],
      observed: {
        sources: [{ name: "manifests", synced: true, objects: 0 }],
        generation: 1,
        rows: 0,
        pending: 0,
        failed: 0,
        writes: 0,
        reconciledAt: "2026-01-02T03:04:06.000Z",
        resourceVersion: "1",
      },
    },
    pods: [],
    limits: [],
    impairments: [],
    programs: [],
    ports: [],
    chains: [],
    drops: [],
    problems: [],
    endpoints: [],
    objects: [],
    topology: { links: [], routes: [], instances: [], ports: [], shapers: [], leases: [], rows: [] },
    doctor: { kernel: "6.1.0-18-amd64", arch: "x64", ok: true, probes: [] },
  };
}
