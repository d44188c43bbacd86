import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesClient, WatchEvent } from "./client.ts";
import { ApiStatusError, isRecord } from "./errors.ts";
import type { RawObject, Resource } from "./resource.ts";

/** How long things take, ms. */
export interface ReflectorTimes {
  /** First wait after a failure; it doubles up to `longest`, and half of each wait is left to chance. */
  shortest: number;
  longest: number;
  /** One page must be there within this time. */
  list: number;
  /** A watch without a byte for so long is dead. The server sends a bookmark about once a minute. */
  silence: number;
  /** The server ends a watch after this time, or up to twice as much. */
  watch: number;
  /** A watch that lasted longer has succeeded. */
  lasting: number;
  /** When a resource that the server does not know is looked for again. */
  absent: number;
}

export const TIMES: ReflectorTimes = {
  shortest: 250,
  longest: 4000,
  list: 60_000,
  silence: 100_000,
  watch: 300_000,
  lasting: 1000,
  absent: 10_000,
};

export interface ReflectorOptions<T> {
  client: Pick<KubernetesClient, "list" | "watch" | "server">;
  resource: Resource;
  fieldSelector?: string | undefined;
  /**
   * What is kept of an object. `before` is what was kept of its last state; an answer of `before` itself says that
   * nothing has changed. Must not throw.
   */
  read(raw: RawObject, before: T | undefined): T;
  /** Objects (by `namespace/name` or `name`) that are new, changed or gone; empty if only `trouble` or `absent` changed. */
  onChange(keys: ReadonlySet<string>): void;
  /** The server may not know the resource (a CRD): then it has no objects. */
  optional?: boolean | undefined;
  signal?: AbortSignal | undefined;
  times?: Partial<ReflectorTimes> | undefined;
  /** 0 to 1, for jitter. */
  random?: (() => number) | undefined;
}

/** So many refusals one after the other, and the watch is not tried again without a new list. */
const PATIENCE = 5;
/** Objects of a page. */
const PAGE = 500;

/**
 * One collection of the API as it was last seen: listed, then watched, for as long as it is open. Whatever fails is
 * tried again from where it was; only a version that the server has forgotten (410) makes it list anew. Until a new
 * list is whole, the last state stays.
 */
export class Reflector<T> {
  /** Resolves once the collection was listed, or is known to be absent. Rejects if it is closed before. */
  readonly synced: Promise<void>;
  /** Why the state may be out of date; undefined while it is not. */
  trouble: string | undefined;
  /** When that began, ms since the epoch. */
  troubledSince: number | undefined;
  /** The server does not know the resource. */
  absent = false;
  readonly #options: ReflectorOptions<T>;
  readonly #times: ReflectorTimes;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  #objects = new Map<string, T>();
  /** What a watch goes on from; undefined: list first. */
  #version: string | undefined;
  /** Whose version that is. */
  #server: string | undefined;
  #failures = 0;
  /** When the watch of now began. */
  #opened: number | undefined;
  #absences = 0;
  /** Versions forgotten one after the other, without a watch that lasted. */
  #forgotten = 0;
  /** The last failure was an answer: the server is there. */
  #answered = true;
  #settle: { resolve(): void; reject(reason: Error): void };

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    const { promise, ...settle } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#settle = settle;
    // Whoever does not wait for it must not be killed by it.
    promise.catch(() => {});
    const { signal } = options;
    const close = (): void => this.#abort.abort();
    if (signal?.aborted) close();
    signal?.addEventListener("abort", close, { once: true, signal: this.#abort.signal });
    this.#running = this.#run();
  }

  /** By `namespace/name`, or `name`. Live: changes are told by `onChange`. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** Ends the connection; resolves once nothing runs any more. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const wait = await this.#turn();
      if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => {});
    }
    this.#settle.reject(new Error(`list ${this.#options.resource.plural}: closed before it was done`));
  }

  /** Lists if need be and watches until that ends. Resolves to the time until the next turn, ms. */
  async #turn(): Promise<number> {
    this.#opened = undefined;
    const { server } = this.#options.client;
    // Another server's versions mean nothing to this one.
    if (server !== this.#server) this.#version = undefined;
    this.#server = server;
    try {
      if (this.#version === undefined) await this.#list();
      await this.#watch(this.#version ?? "");
      // The server ends watches now and then. One that does so at once must not be asked in a circle.
      if (this.#lived()) return 0;
      this.#failures += 1;
      return this.#backOff();
    } catch (error) {
      if (this.#abort.signal.aborted) return 0;
      this.#lived();
      return this.#failed(error);
    }
  }

  /** Did the watch last? Then what failed before it is over. */
  #lived(): boolean {
    const lived = this.#opened !== undefined && performance.now() - this.#opened > this.#times.lasting;
    if (lived) {
      this.#failures = 0;
      this.#forgotten = 0;
    }
    return lived;
  }

  async #list(): Promise<void> {
    const { items, resourceVersion } = await this.#pages().catch((error: unknown) => {
      // The list grew too old between two pages. In one piece it cannot.
      if (isGone(error)) return this.#page(undefined, undefined);
      throw error;
    });
    const objects = new Map<string, T>();
    const changed = new Set(this.#objects.keys());
    for (const raw of items) {
      const key = keyOf(raw);
      const before = this.#objects.get(key);
      const next = this.#options.read(raw, before);
      objects.set(key, next);
      if (next === before) changed.delete(key);
      else changed.add(key);
    }
    this.#objects = objects;
    this.#version = resourceVersion;
    this.#told(changed, false);
  }

  async #pages() {
    const items: RawObject[] = [];
    let page = await this.#page(PAGE, undefined);
    items.push(...page.items);
    while (page.continue !== undefined) {
      page = await this.#page(PAGE, page.continue);
      items.push(...page.items);
    }
    return { items, resourceVersion: page.resourceVersion };
  }

  #page(limit: number | undefined, from: string | undefined) {
    const { client, resource, fieldSelector } = this.#options;
    const call = { signal: this.#abort.signal, timeout: this.#times.list };
    return client.list(resource, { fieldSelector, limit, continue: from, ...call });
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { client, resource, fieldSelector, random = Math.random } = this.#options;
    const { silence, watch } = this.#times;
    const seconds = Math.ceil((watch * (1 + random())) / 1000);
    const onOpen = (): void => {
      this.#opened = performance.now();
      this.#told(new Set(), false);
    };
    const options = { fieldSelector, resourceVersion, seconds, silence, onOpen, signal: this.#abort.signal };
    for await (const event of client.watch(resource, options)) {
      this.#take(event);
      this.#failures = 0;
    }
  }

  #take({ type, object }: WatchEvent): void {
    if (type === "ERROR")
      throw new ApiStatusError(`watch ${this.#options.resource.plural}`, Number(object["code"]), object);
    const { metadata } = object;
    const { name, resourceVersion } = isRecord(metadata) ? metadata : {};
    if (typeof resourceVersion !== "string") this.#forget("an event has no resourceVersion");
    if (type !== "BOOKMARK") {
      if (typeof name !== "string") this.#forget("an event has no name");
      this.#change(object as RawObject, type === "DELETED");
    }
    this.#version = resourceVersion;
  }

  #change(raw: RawObject, gone: boolean): void {
    const key = keyOf(raw);
    const before = this.#objects.get(key);
    if (gone) {
      if (this.#objects.delete(key)) this.#told(new Set([key]), false);
      return;
    }
    const next = this.#options.read(raw, before);
    this.#objects.set(key, next);
    if (next !== before) this.#told(new Set([key]), false);
  }

  /** What cannot be followed must be listed. */
  #forget(reason: string): never {
    this.#version = undefined;
    throw new Error(`watch ${this.#options.resource.plural}: ${reason}`);
  }

  /** The server has answered: the state is whole, and of now. */
  #told(changed: ReadonlySet<string>, absent: boolean): void {
    const news = changed.size > 0 || this.absent !== absent || this.trouble !== undefined;
    this.absent = absent;
    if (!absent) this.#absences = 0;
    this.trouble = undefined;
    this.troubledSince = undefined;
    this.#settle.resolve();
    if (news) this.#options.onChange(changed);
  }

  #failed(error: unknown): number {
    if (this.#options.optional && error instanceof ApiStatusError && error.status === 404) return this.#missing();
    const answered = error instanceof ApiStatusError;
    // A server that is back is not waited for as one that was away.
    if (answered && !this.#answered) this.#failures = 0;
    this.#answered = answered;
    this.#failures += 1;
    const gone = isGone(error);
    // A server that goes on refusing may never have had our version (restored from a backup): a list is always right.
    const refusing = answered && this.#failures >= PATIENCE;
    if (gone || refusing) this.#version = undefined;
    // The first time it is the course of things: an old version is listed anew at once.
    if (gone && ++this.#forgotten === 1) return 0;
    const message = error instanceof Error ? error.message : String(error);
    this.troubledSince ??= Date.now();
    if (this.trouble !== message) {
      this.trouble = message;
      this.#options.onChange(new Set());
    }
    const asked = answered ? (error.retryAfter ?? 0) : 0;
    return asked + this.#backOff();
  }

  /** A server that starts may not know yet what it has: what was there is believed gone at the second 404. */
  #missing(): number {
    this.#version = undefined;
    this.#absences += 1;
    this.#failures = 0;
    if (this.#absences > 1 || this.#objects.size === 0) {
      const gone = new Set(this.#objects.keys());
      this.#objects = new Map();
      this.#told(gone, true);
    }
    return this.#times.absent;
  }

  #backOff(): number {
    const { shortest, longest } = this.#times;
    const { random = Math.random } = this.#options;
    const full = Math.min(longest, shortest * 2 ** Math.min(this.#failures - 1, 30));
    return full * (0.5 + random() / 2);
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof ApiStatusError && (error.status === 410 || error.reason === "Expired" || error.reason === "Gone");
const keyOf = ({ metadata: { namespace, name } }: RawObject): string => (namespace ? `${namespace}/${name}` : name);
