import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { objectKey } from "../model/names.ts";
import type { Problem } from "../model/problem.ts";
import { apiVersion } from "../model/version.ts";
import {
  ApiStatusError,
  type KubernetesClient,
  type ObjectStatus,
  type RawObject,
  type Resource,
} from "../sources/kubernetes/index.ts";
import { conditionsOf, entriesOf, knownConditions, nodeEntry, type ObjectResult } from "./conditions.ts";
import { EventQuota, eventOf } from "./events.ts";
import { Turns } from "./turns.ts";

/** What an agent has to say at one moment. */
export interface Results {
  statuses: readonly ObjectStatus[];
  /** By `Kind/namespace/name`. */
  findings: ReadonlyMap<string, ObjectResult>;
  problems: readonly Problem[];
  /** `metadata.uid` of an object that problems name. */
  uid(object: string): string | undefined;
  /** Names of the cluster's nodes. */
  nodes: Pick<ReadonlySet<string>, "has" | "size">;
}

/** What writing results needs of a client. */
export type ResultsClient = Pick<KubernetesClient, "apply" | "create">;

/** Receives a writer's failures, each once, and their ends. */
export interface ResultsLog {
  warn(fields: { message: string }, text: string): void;
  info(text: string): void;
}

export interface ResultWriterOptions {
  client: ResultsClient;
  node: string;
  /** Resolves to undefined as long as there is nothing to say yet: it is asked again after the next mark. */
  collect(): Promise<Results | undefined>;
  log: ResultsLog;
  /** The record of written events; writers that share it write each event once. */
  quota?: EventQuota | undefined;
  signal: AbortSignal;
  times?: Partial<ResultTimes> | undefined;
}

/** ms. */
export interface ResultTimes {
  /** Marks within this time are one round. */
  settle: number;
  /** A round that failed is tried again after this time, doubled up to `longest`. */
  shortest: number;
  longest: number;
  /** One agent writes an object's conditions; the next one in turn waits for this time and up to twice as much. */
  leave: number;
}

const TIMES: ResultTimes = { settle: 200, shortest: 500, longest: 30_000, leave: 2000 };
const NONE: ObjectResult = { refusals: [], pods: 0, faults: [] };
const EVENTS: Resource = { apiVersion: "v1", kind: "Event", plural: "events" };
/** Kinds that have conditions, with their plurals. */
const PLURALS = { Limit: "limits", Impairment: "impairments" } as const;
/** Whoever writes the conditions writes the same: they are one author. */
export const SHARED = "weir";

/** Takes what an agent found back to the API: conditions of rule objects, and events of pods and Services. */
export class ResultWriter {
  readonly #options: ResultWriterOptions;
  readonly #times: ResultTimes;
  readonly #manager: string;
  readonly #quota: EventQuota;
  readonly #turns: Turns;
  /** Objects whose report the server has refused, with how often and when it is tried again, `performance.now()`. */
  readonly #refused = new Map<string, { times: number; due: number }>();
  #timer: NodeJS.Timeout | undefined;
  /** When the next round is, as `performance.now()` counts. */
  #due = Number.POSITIVE_INFINITY;
  #busy = false;
  #again = false;
  #failures = 0;
  #trouble: string | undefined;

  constructor(options: ResultWriterOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    this.#manager = managerOf(options.node);
    this.#quota = options.quota ?? new EventQuota(performance.now());
    this.#turns = new Turns(options.node, this.#times.leave);
    options.signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  /** Something may be new. */
  mark(): void {
    if (this.#busy) this.#again = true;
    else if (this.#failures === 0) this.#in(this.#times.settle);
  }

  /** A round is due within this time. One that is due sooner stays: marks without end must not put it off. */
  #in(ms: number): void {
    const due = performance.now() + ms;
    if (this.#options.signal.aborted || due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => void this.#round(), ms);
    this.#timer.unref();
  }

  async #round(): Promise<void> {
    this.#busy = true;
    this.#again = false;
    this.#due = Number.POSITIVE_INFINITY;
    let wait: number | undefined;
    try {
      const results = await this.#options.collect();
      wait = results && (await this.#write(results));
      this.#failures = 0;
      if (results && this.#trouble !== undefined && this.#refused.size === 0) {
        this.#options.log.info("results are written to the API again");
        this.#trouble = undefined;
      }
    } catch (error) {
      wait = Math.min(this.#times.longest, this.#times.shortest * 2 ** this.#failures);
      this.#failures = Math.min(this.#failures + 1, 16);
      this.#tell((error as Error).message);
    }
    this.#busy = false;
    if (wait !== undefined) this.#in(wait);
    if (this.#again) this.mark();
  }

  #tell(message: string): void {
    if (this.#options.signal.aborted || message === this.#trouble) return;
    this.#trouble = message;
    this.#options.log.warn({ message }, "results are not written to the API; trying again");
  }

  /** Resolves to the time until something is due, ms. */
  async #write(results: Results): Promise<number | undefined> {
    let first: unknown;
    const keys = new Set<string>();
    for (const standing of results.statuses) {
      const key = objectKey(standing.kind, standing);
      keys.add(key);
      if ((this.#refused.get(key)?.due ?? 0) <= performance.now()) first ??= await this.#try(key, standing, results);
    }
    for (const key of this.#refused.keys()) if (!keys.has(key)) this.#refused.delete(key);
    this.#turns.keep(keys);
    for (const problem of results.problems) await this.#event(problem, results).catch((error) => (first ??= error));
    if (first !== undefined) throw first;
    const dues = [...this.#turns.dues, ...[...this.#refused.values()].map(({ due }) => due)];
    return dues.length > 0 ? Math.max(50, Math.min(...dues) - performance.now()) : undefined;
  }

  /** Gives the error if the server has not even answered. */
  async #try(key: string, standing: ObjectStatus, results: Results): Promise<unknown> {
    try {
      await this.#report(key, standing, results);
      this.#refused.delete(key);
    } catch (error) {
      if (!(error instanceof ApiStatusError)) return error;
      this.#refuse(key, error);
    }
    return undefined;
  }

  /** One that the server does not take holds up no other. */
  #refuse(key: string, { status, message, retryAfter = 0 }: ApiStatusError): void {
    // One that another has changed meanwhile, or removed, comes again with the watch.
    if (status === 409 || status === 404) return;
    const times = this.#refused.get(key)?.times ?? 0;
    const pause = Math.min(this.#times.longest, this.#times.shortest * 2 ** Math.min(times, 16));
    this.#refused.set(key, { times: times + 1, due: performance.now() + Math.max(pause, retryAfter) });
    if (times === 0) this.#tell(message);
  }

  async #report(key: string, standing: ObjectStatus, { findings, nodes }: Results): Promise<void> {
    const { node } = this.#options;
    const finding = findings.get(key) ?? NONE;
    const now = seconds();
    const entry = nodeEntry(node, standing, finding, now);
    const before = entriesOf(standing.status).find(({ name }) => name === node);
    if (!isDeepStrictEqual(entry, before)) {
      await this.#apply(standing, this.#manager, { nodes: entry ? [entry] : [] });
      return; // the conditions follow with the watch's event
    }
    const conditions = conditionsOf(standing, finding.refusals, nodes, now);
    const isSaid = conditions.every((one) =>
      knownConditions(standing.status).some((known) => isDeepStrictEqual(known, one)),
    );
    if (isSaid) return this.#turns.forget(key);
    if (!this.#turns.isDue(key, standing, nodes, performance.now())) return;
    this.#turns.forget(key);
    // Only if the object has not changed meanwhile.
    await this.#apply(
      standing,
      SHARED,
      { conditions, observedGeneration: standing.generation },
      standing.resourceVersion,
    );
  }

  async #apply(standing: ObjectStatus, fieldManager: string, status: object, resourceVersion?: string): Promise<void> {
    const { client, signal } = this.#options;
    await applyStatus(client, standing, status, { fieldManager, resourceVersion, signal });
  }

  async #event(problem: Problem, { uid }: Results): Promise<void> {
    const { client, node, signal } = this.#options;
    const event = eventOf(problem, uid(problem.object), node, seconds());
    if (!event || !this.#quota.take(event.name, problem.object, performance.now())) return;
    try {
      await client.create(EVENTS, { namespace: event.namespace }, event.body, { signal });
    } catch (error) {
      // Another node, or this one before its restart, has said it; or its namespace is gone.
      if (error instanceof ApiStatusError && (error.status === 409 || error.status === 404)) return;
      this.#quota.giveBack(event.name);
      throw error;
    }
  }
}

/** Writes one author's part of an object's status; with a `resourceVersion`, only if it is still current. */
export async function applyStatus(
  client: Pick<ResultsClient, "apply">,
  { kind, namespace, name, uid }: ObjectStatus,
  status: object,
  options: { fieldManager: string; resourceVersion?: string | undefined; signal?: AbortSignal | undefined },
): Promise<RawObject> {
  const { fieldManager, resourceVersion, signal } = options;
  const metadata = { name, namespace, uid, ...(resourceVersion !== undefined && { resourceVersion }) };
  const target = { namespace, name, subresource: "status" as const };
  const resource = { apiVersion, kind, plural: PLURALS[kind] };
  return client.apply(resource, target, { apiVersion, kind, metadata, status }, { fieldManager, force: true, signal });
}

/** RFC 3339, whole seconds. */
export const seconds = (): string => new Date().toISOString().replace(/\.\d+Z$/, "Z");

/** The field manager of one node's entries: at most 128 characters. */
export function managerOf(node: string): string {
  const short = node.length <= 100 ? node : createHash("sha256").update(node).digest("hex").slice(0, 32);
  return `weir-agent-${short}`;
}
