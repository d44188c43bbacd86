import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesClient, WatchEvent } from "./client.ts";
import { ApiStatusError, isRecord } from "./errors.ts";
import type { RawObject, Resource } from "./resource.ts";

/** Timeouts and delays, ms. */
export interface ReflectorTimes {
  /** First delay after a failure; doubled up to `longest`. Half of each delay is random. */
  shortest: number;
  longest: number;
  /** Timeout of one page. */
  list: number;
  /** A watch without a byte for this long is considered dead. The server sends a bookmark about once a minute. */
  silence: number;
  /** The server ends a watch after this time, or up to twice as much. */
  watch: number;
  /** A watch that lasted longer has succeeded. */
  lasting: number;
  /** Delay before a resource that the server does not know is looked for again. */
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
   * Converts an object to what is kept. @param before what was kept of its last state; returning it means that nothing
   * changed. Must not throw.
   */
  read(raw: RawObject, before: T | undefined): T;
  /**
   * Objects (`namespace/name` or `name`) that were added, changed or deleted; empty: only `trouble` or `absent`
   * changed.
   */
  onChange(keys: ReadonlySet<string>): void;
  /** The server may not know the resource (a CRD): then it has no objects. */
  optional?: boolean | undefined;
  signal?: AbortSignal | undefined;
  times?: Partial<ReflectorTimes> | undefined;
  /** 0 to 1, for jitter. */
  random?: (() => number) | undefined;
}

/** After this many consecutive refusals the watch is only tried again after a new list. */
const PATIENCE = 5;
/** Objects per page. */
const PAGE = 500;

/**
 * Keeps one collection of the API up to date: lists, then watches, as long as it is open. After a failure it resumes
 * where it was; only after 410 (version expired) it lists again. Until a new list is complete, the last state is kept.
 */
export class Reflector<T> {
  /** Resolves once the collection was listed or is known to be absent. Rejects if it is closed before. */
  readonly synced: Promise<void>;
  /** Why the state may be out of date; undefined if it is not. */
  trouble: string | undefined;
  /** Since when, ms since the epoch. */
  troubledSince: number | undefined;
  /** The server does not know the resource. */
  absent = false;
  readonly #options: ReflectorOptions<T>;
  readonly #times: ReflectorTimes;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  #objects = new Map<string, T>();
  /** The version from which a watch resumes; undefined: list first. */
  #version: string | undefined;
  /** The server of that version. */
  #server: string | undefined;
  #failures = 0;
  /** When the present watch began. */
  #opened: number | undefined;
  #absences = 0;
  /** Consecutive expired versions without a watch that lasted. */
  #forgotten = 0;
  /** The last failure was an answer, so the server is reachable. */
  #answered = true;
  #settle: { resolve(): void; reject(reason: Error): void };

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    const { promise, ...settle } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#settle = settle;
    // nobody has to wait for this promise, so its rejection must not be unhandled
    promise.catch(() => {});
    const { signal } = options;
    const close = (): void => this.#abort.abort();
    if (signal?.aborted) close();
    signal?.addEventListener("abort", close, { once: true, signal: this.#abort.signal });
    this.#running = this.#run();
  }

  /** By `namespace/name` or `name`. Live: `onChange` reports changes. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** Ends the connection. Resolves once nothing runs any more. */
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

  /** Lists if necessary, and watches until that ends. Resolves to the delay before the next turn, ms. */
  async #turn(): Promise<number> {
    this.#opened = undefined;
    const { server } = this.#options.client;
    // versions of another server are meaningless
    if (server !== this.#server) this.#version = undefined;
    this.#server = server;
    try {
      if (this.#version === undefined) await this.#list();
      await this.#watch(this.#version ?? "");
      // a server that ends every watch at once must not be asked in a loop
      if (this.#lived()) return 0;
      this.#failures += 1;
      return this.#backOff();
    } catch (error) {
      if (this.#abort.signal.aborted) return 0;
      this.#lived();
      return this.#failed(error);
    }
  }

  /** Whether the watch lasted, which ends a series of failures. */
  #lived(): boolean {
    const lived = this.#opened !== undefined && performance.now() - this.#opened > this.#times.lasting;
    if (lived) {
      this.#failures = 0;
      this.#forgotten = 0;
    }
    return lived;
  }

  async #list(): Promise<void> {
    const { objects, version } = await this.#pages(PAGE).catch((error: unknown) => {
      // the list expired between two pages, which cannot happen without pages
      if (isGone(error)) return this.#pages(undefined);
      throw error;
    });
    const changed = new Set<string>();
    for (const [key, next] of objects) if (next !== this.#objects.get(key)) changed.add(key);
    for (const key of this.#objects.keys()) if (!objects.has(key)) changed.add(key);
    this.#objects = objects;
    this.#version = version;
    this.#told(changed, false);
  }

  /** Lists the collection. Each page is read at once, so that memory holds the whole objects of one page only. */
  async #pages(limit: number | undefined): Promise<{ objects: Map<string, T>; version: string }> {
    const objects = new Map<string, T>();
    for (let from: string | undefined; ; ) {
      const page = await this.#page(limit, from);
      for (const raw of page.items) {
        const key = keyOf(raw);
        objects.set(key, this.#options.read(raw, this.#objects.get(key)));
      }
      from = page.continue;
      if (from === undefined) return { objects, version: page.resourceVersion };
    }
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

  /** Forgets the version, so that the collection is listed again. */
  #forget(reason: string): never {
    this.#version = undefined;
    throw new Error(`watch ${this.#options.resource.plural}: ${reason}`);
  }

  /** Records that the state is complete and up to date. */
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
    // after an outage the delay starts from the beginning
    if (answered && !this.#answered) this.#failures = 0;
    this.#answered = answered;
    this.#failures += 1;
    const gone = isGone(error);
    // a server that keeps refusing may not have this version (restored from a backup); a list is always right
    const refusing = answered && this.#failures >= PATIENCE;
    if (gone || refusing) this.#version = undefined;
    // the first time is normal: list again at once
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

  /** A starting server may not know its resources yet, so objects count as deleted only after a second 404. */
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
