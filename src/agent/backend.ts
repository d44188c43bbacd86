import { release } from "node:os";
import type { Backend, EndpointResult, ObjectName, Plain } from "../api/backend.ts";
import { ApiError } from "../api/errors.ts";
import type * as schema from "../api/schemas.ts";
import { namespaceFault } from "../kernel/index.ts";
import type { Document } from "../model/document.ts";
import { objectKey } from "../model/names.ts";
import type { PodAttachment } from "../model/node-context.ts";
import { version } from "../model/version.ts";
import type { Agent } from "./agent.ts";
import { examine } from "./doctor.ts";
import { networkFault } from "./network-fault.ts";
import { outageOf } from "./outage.ts";
import { reasonOf } from "./readiness.ts";
import { dropItems, portCounters } from "./views/counters.ts";
import { impairmentItems } from "./views/impairments.ts";
import { limitItems } from "./views/limits.ts";
import { impairReadings, limitReadings, programReadings } from "./views/measured.ts";
import { changeItems, objectItems, putObjects, removeObject } from "./views/objects.ts";
import { podItems } from "./views/pods.ts";
import { chainItems, portItems } from "./views/ports.ts";
import { programItems } from "./views/programs.ts";

/** The REST API's backend of one agent. */
export class AgentBackend implements Backend {
  readonly #agent: Agent;

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  get node(): string {
    return this.#agent.parts.node.name;
  }

  async status(): Promise<Plain<schema.Status>> {
    const agent = this.#agent;
    const { planner, programs } = agent;
    const { manifests, panel } = agent.parts;
    const { cluster, composer } = planner;
    const awaited = agent.standing.awaited();
    const ready = agent.synced && agent.generation > 0;
    const why = reasonOf(awaited, objectKey("Node", planner.node)) ?? outageOf(manifests?.troubles() ?? [], Date.now());
    return {
      version,
      abi: panel.abi,
      state: !ready ? "starting" : why === undefined ? "ready" : "degraded",
      reason: why ?? (ready ? null : "sources are being read"),
      kernel: release(),
      pid: process.pid,
      startedAt: agent.startedAt.toISOString(),
      pods: (await this.pods()).filter((pod) => pod.device !== null).length,
      problems: [...(await this.problems())],
      observed: {
        sources: [
          ...(manifests ? [{ name: "manifests", synced: agent.synced, objects: manifests.size }] : []),
          { name: "endpoints", synced: true, objects: cluster.attachments.size },
          { name: "objects", synced: true, objects: agent.parts.applied.size },
        ],
        generation: agent.generation,
        rows: composer.size,
        pending: ready ? awaited.length : composer.size,
        failed: agent.standing.failures().length,
        writes: agent.writes,
        reconciledAt: agent.reconciledAt?.toISOString() ?? null,
        resourceVersion: programs.pending.size > 0 ? null : (agent.observedVersion ?? null),
      },
    };
  }

  async pods(): Promise<Plain<schema.Pod>[]> {
    return podItems(this.#agent);
  }

  async limits(): Promise<Plain<schema.Limit>[]> {
    return limitItems(this.#agent.planner, this.#problemsOf, limitReadings(this.#agent));
  }

  async impairments(): Promise<Plain<schema.Impairment>[]> {
    return impairmentItems(this.#agent.planner, this.#problemsOf, impairReadings(this.#agent));
  }

  async programs(): Promise<Plain<schema.Program>[]> {
    const { planner, programs } = this.#agent;
    return programItems(planner, programs, this.#problemsOf, programReadings(this.#agent));
  }

  get #problemsOf() {
    return (object: string) => this.#agent.standing.problemsOf(object);
  }

  async ports(): Promise<Plain<schema.Port>[]> {
    return portItems(this.#agent.planner.composer, portCounters(this.#agent.parts.panel), this.#seen);
  }

  /** The datapath's knowledge of devices, as views need it. */
  get #seen() {
    const { devices } = this.#agent.parts.datapath;
    return {
      ifindex: (device: string) => devices.ifindex(device),
      isSeenByXdp: (device: string) => devices.isSeenByXdp(device),
    };
  }

  async chains(): Promise<Plain<schema.Chain>[]> {
    return chainItems(this.#agent.planner.composer, this.#seen);
  }

  async drops(): Promise<Plain<schema.Drop>[]> {
    const pods = new Set([...this.#agent.planner.ports.rows()].map(([, { port }]) => port));
    return dropItems(this.#agent.parts.panel, pods);
  }

  async owners(): Promise<Map<string, string>> {
    return new Map([...this.#agent.planner.ports.rows()].map(([, { id, key }]) => [id, key]));
  }

  async problems(): Promise<schema.Problem[]> {
    const { standing } = this.#agent;
    const rejected = standing.problems().map(({ object, path, message, at, severity }) => ({
      object,
      path,
      severity,
      message: at === undefined ? message : `${message} (${at})`,
    }));
    return [...rejected, ...standing.failures(), ...standing.warnings()];
  }

  async endpoints(): Promise<Plain<schema.Endpoint>[]> {
    const { attachments } = this.#agent.planner.cluster;
    return attachments
      .keys()
      .flatMap((key) => attachments.get(key) ?? [])
      .map((one) => ({ ...one, ips: [...one.ips] }));
  }

  async topology(): Promise<Document> {
    return this.#agent.planner.composer.whole();
  }

  async doctor(): Promise<schema.Doctor> {
    return examine(this.#agent.parts.bpffs);
  }

  async objects(): Promise<Plain<schema.AppliedObject>[]> {
    return objectItems(this.#agent.parts.applied);
  }

  async putObjects(documents: readonly unknown[], options: { dryRun: boolean }): Promise<Plain<schema.ObjectChange>[]> {
    this.#mustBeReady();
    const changes = putObjects(this.#agent.parts.applied, documents, options);
    if (!options.dryRun)
      await this.#settled(
        "apply objects",
        changes.map(({ key }) => key),
      );
    return changeItems(changes, options.dryRun ? this.#agent.preview(changes) : await this.problems());
  }

  async deleteObject({ kind, namespace, name }: ObjectName): Promise<void> {
    this.#mustBeReady();
    if (removeObject(this.#agent.parts.applied, objectKey(kind, { namespace, name }))) {
      await this.#settled(`delete ${kind} ${name}`, [objectKey(kind, { namespace, name })]);
    }
  }

  async putEndpoint(namespace: string, name: string, spec: schema.EndpointSpec): Promise<EndpointResult> {
    const { endpoints, taps } = this.#agent.parts;
    this.#mustBeReady();
    if (taps) {
      const hint = "pods are found by the addresses in their status";
      throw new ApiError("refused", `give ${namespace}/${name} a network: the agent is in mode chained`, { hint });
    }
    const known = endpoints.get(namespace, name);
    if (known && known.uid !== spec.uid) {
      throw new ApiError("exists", `give ${namespace}/${name} a network: the pod with uid ${known.uid} has that name`, {
        hint: "delete its endpoint first",
      });
    }
    const what = `give ${namespace}/${name} a network`;
    const refusal = namespaceFault(spec.netns);
    if (refusal) throw new ApiError("invalid", `${what}: ${spec.netns} ${refusal}`, { path: "netns" });
    const endpoint = this.#store(namespace, name, spec);
    if (known) this.#agent.parts.datapath.doubt(endpoint.device); // a repeated request may mean that the caller has seen a fault
    await this.#settled(what);
    const fault = networkFault(this.#agent, endpoint);
    if (fault) {
      if (!known && endpoints.get(namespace, name) === endpoint) endpoints.remove(namespace, name);
      this.#agent.runner.mark();
      throw new ApiError(fault.own ? "refused" : "unavailable", `${what}: ${fault.message}`);
    }
    return { endpoint: { ...endpoint, ips: [...endpoint.ips] }, created: known === undefined };
  }

  async deleteEndpoint(namespace: string, name: string, which: schema.EndpointWhich): Promise<void> {
    const { endpoints, datapath } = this.#agent.parts;
    this.#mustBeReady();
    const known = endpoints.get(namespace, name);
    if (!known || !endpoints.remove(namespace, name, which)) return;
    const what = `take the network of ${namespace}/${name} away`;
    await this.#settled(what);
    const { device } = known;
    if (datapath.devices.ifindex(device) === undefined || endpoints.get(namespace, name)?.device === device) return;
    const [failure] = this.#agent.standing.failures();
    throw new ApiError("unavailable", `${what}: ${failure?.message ?? `device ${device} is still there`}`);
  }

  /** Waits for a pass that began after this call, whether it succeeds or not. */
  async #settled(what: string, keys: readonly string[] = []): Promise<void> {
    this.#agent.changed(keys);
    await this.#agent.runner.settled(false);
    if (this.#agent.parts.signal.aborted) throw new ApiError("unavailable", `${what}: the agent is stopping`);
  }

  /** Stores an attachment. Running out of addresses or disk space is temporary, so it fails as `unavailable`. */
  #store(namespace: string, name: string, spec: schema.EndpointSpec): PodAttachment {
    try {
      return this.#agent.parts.endpoints.put(namespace, name, spec);
    } catch (cause) {
      const message = `give ${namespace}/${name} a network: ${(cause as Error).message}`;
      throw new ApiError("unavailable", message, { cause });
    }
  }

  #mustBeReady(): void {
    if (!this.#agent.synced) throw new ApiError("unavailable", "take the request: the agent is still starting");
  }
}
