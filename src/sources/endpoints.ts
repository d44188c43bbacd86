import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Endpoint } from "../model/cluster.ts";
import { isAddress } from "../model/ip.ts";
import { AddressPool, podDevice } from "../model/ipam.ts";
import type { Problem } from "../model/objects.ts";
import { writeState } from "./atomic.ts";

/** What a runtime says of a pod that it wants a network for. */
export interface EndpointRequest {
  uid: string;
  netns: string;
  ifname: string;
  /** The runtime's id of the pod's sandbox. */
  sandbox?: string | undefined;
}

/** Of which pod of a name: what is left out is not asked about. */
export type Incarnation = Partial<Pick<EndpointRequest, "uid" | "netns" | "sandbox">>;

const stored = z
  .object({
    namespace: z.string(),
    name: z.string(),
    uid: z.string(),
    netns: z.string(),
    ifname: z.string(),
    sandbox: z.string().optional(),
    device: z.string(),
    mac: z.string(),
    ips: z.array(z.string().refine(isAddress, "no IP address")),
  })
  .refine((one) => {
    const { device, mac } = podDevice(one);
    return one.device === device && one.mac === mac;
  }, "the device and its MAC address are another pod's");

/** Name of the store's folder in the agent's state folder. */
export const ENDPOINTS_FOLDER = "endpoints";

/** Name of the file beside it: addresses that were given back, the longest free first. */
export const RELEASED_FILE = "released.json";

/** Opens the store of a node's endpoints: one JSON file each under `folder`/endpoints. Makes the folder. */
export function openEndpoints(options: { folder: string; podCIDRs: readonly string[] }): EndpointStore {
  return new EndpointStore(options.folder, new AddressPool(options.podCIDRs));
}

/** Pods whose network a runtime asked for, and their addresses. On disk before anybody hears of it. */
export class EndpointStore {
  /** Files that could not be read; they were set aside as `NAME.broken`. */
  readonly problems: Problem[] = [];
  readonly #folder: string;
  readonly #released: string;
  readonly #pool: AddressPool;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #changed = new Set<string>();

  constructor(state: string, pool: AddressPool) {
    const folder = join(state, ENDPOINTS_FOLDER);
    this.#folder = folder;
    this.#released = join(state, RELEASED_FILE);
    this.#pool = pool;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#pool.keepBack(this.#readReleased());
    const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
    const written = (file: string): bigint => statSync(join(folder, file), { bigint: true }).mtimeNs;
    for (const file of files.toSorted((a, b) => (written(a) < written(b) ? -1 : 1))) this.#read(file);
  }

  /** Keys, `namespace/name`, of those that changed since the last time; all at first. */
  changes(): string[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  list(): Endpoint[] {
    return [...this.#endpoints.values()];
  }

  get(namespace: string, name: string): Endpoint | undefined {
    return this.#endpoints.get(`${namespace}/${name}`);
  }

  /** Gives a pod its addresses; the same uid again keeps them. Throws when no address is free or the disk refuses. */
  put(namespace: string, name: string, { uid, netns, ifname, sandbox }: EndpointRequest): Endpoint {
    const known = this.get(namespace, name);
    const kept = known?.uid === uid ? known : undefined;
    if (kept && kept.netns === netns && kept.ifname === ifname && kept.sandbox === sandbox) return kept;
    const ips = kept?.ips ?? this.#pool.allocate();
    const pod = { namespace, name, uid, netns, ifname, ...(sandbox !== undefined && { sandbox }) };
    const endpoint = { ...pod, ...podDevice(pod), ips };
    try {
      this.#write(endpoint);
    } catch (error) {
      if (!kept) this.#pool.release(ips);
      throw error;
    }
    if (known && known.device !== endpoint.device) this.#removeFile(known);
    if (known && !kept) this.#release(known.ips);
    this.#set(`${namespace}/${name}`, endpoint);
    return endpoint;
  }

  /**
   * Forgets a pod and frees its addresses. A missing one succeeds, and so does another of that name: what is asked for is
   * gone, and its successor stays. Returns whether anything was forgotten.
   */
  remove(namespace: string, name: string, which: Incarnation = {}): boolean {
    const known = this.get(namespace, name);
    if (!known || !isIncarnation(known, which)) return false;
    this.#set(`${namespace}/${name}`, undefined);
    this.#forget(known);
    return true;
  }

  #set(key: string, endpoint: Endpoint | undefined): void {
    this.#changed.add(key);
    if (endpoint) this.#endpoints.set(key, endpoint);
    else this.#endpoints.delete(key);
  }

  #forget(endpoint: Endpoint): void {
    this.#removeFile(endpoint);
    this.#release(endpoint.ips);
  }

  /** A disk that refuses costs no more than the memory of it: the address is free in any case. */
  #release(ips: readonly string[]): void {
    this.#pool.release(ips);
    try {
      writeState(this.#released, JSON.stringify(this.#pool.released));
    } catch {}
  }

  #readReleased(): string[] {
    try {
      return z.array(z.string()).parse(JSON.parse(readFileSync(this.#released, "utf8")));
    } catch {
      return []; // none yet, or not readable: addresses come in turn then
    }
  }

  #removeFile({ device }: Endpoint): void {
    rmSync(join(this.#folder, `${device}.json`), { force: true });
  }

  #write(endpoint: Endpoint): void {
    writeState(join(this.#folder, `${endpoint.device}.json`), JSON.stringify(endpoint));
  }

  #read(file: string): void {
    const path = join(this.#folder, file);
    try {
      const endpoint = stored.parse(JSON.parse(readFileSync(path, "utf8")));
      // Two of one name: an agent died between writing the new pod's file and removing the old one's.
      const older = this.get(endpoint.namespace, endpoint.name);
      if (older) this.#forget(older);
      this.#set(`${endpoint.namespace}/${endpoint.name}`, endpoint);
      this.#pool.take(endpoint.ips);
    } catch (error) {
      renameSync(path, `${path}.broken`);
      const reason = error instanceof z.ZodError ? error.issues[0]?.message : (error as Error).message;
      const message = `read endpoint: ${reason}; set aside as ${file}.broken`;
      this.problems.push({ object: path, message });
    }
  }
}

/** Is it the one that is meant? An id that was never told says nothing against it. */
function isIncarnation(known: Endpoint, which: Incarnation): boolean {
  return (["uid", "netns", "sandbox"] as const).every(
    (field) => which[field] === undefined || known[field] === undefined || which[field] === known[field],
  );
}
