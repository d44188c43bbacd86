import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { isAddress } from "../model/ip.ts";
import { AddressPool, podDevice } from "../model/ipam.ts";
import type { PodAttachment } from "../model/node-context.ts";
import type { Problem } from "../model/problem.ts";
import { writeState } from "./atomic.ts";

/** A runtime's request to attach a pod. */
export interface AttachmentRequest {
  uid: string;
  netns: string;
  ifname: string;
  /** The runtime's id of the pod's sandbox. */
  sandbox?: string | undefined;
}

/** Identifies one of several pods with the same name; fields that are left out match any. */
export type Incarnation = Partial<Pick<AttachmentRequest, "uid" | "netns" | "sandbox">>;

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
  }, "device and MAC address are in use by another pod");

/** Name of the store's folder in the agent's state folder. */
export const ATTACHMENTS_FOLDER = "endpoints";

/** Name of the file beside it with released addresses, the one that has been free longest first. */
export const RELEASED_FILE = "released.json";

/** Opens the store of a node's pod attachments: one JSON file each in `folder`/endpoints, which is created. */
export function openAttachments(options: { folder: string; podCIDRs: readonly string[] }): AttachmentStore {
  return new AttachmentStore(options.folder, new AddressPool(options.podCIDRs));
}

/** Attached pods and their addresses. Written to disk before a call returns. */
export class AttachmentStore {
  /** Problems of files that could not be read; they were renamed to `NAME.broken`. */
  readonly problems: Problem[] = [];
  readonly #folder: string;
  readonly #released: string;
  readonly #pool: AddressPool;
  readonly #endpoints = new Map<string, PodAttachment>();
  readonly #changed = new Set<string>();

  constructor(state: string, pool: AddressPool) {
    const folder = join(state, ATTACHMENTS_FOLDER);
    this.#folder = folder;
    this.#released = join(state, RELEASED_FILE);
    this.#pool = pool;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#pool.keepBack(this.#readReleased());
    const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
    const written = (file: string): bigint => statSync(join(folder, file), { bigint: true }).mtimeNs;
    for (const file of files.toSorted((a, b) => (written(a) < written(b) ? -1 : 1))) this.#read(file);
  }

  /** Keys (`namespace/name`) that changed since the last call; at first all. */
  changes(): string[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  list(): PodAttachment[] {
    return [...this.#endpoints.values()];
  }

  get(namespace: string, name: string): PodAttachment | undefined {
    return this.#endpoints.get(`${namespace}/${name}`);
  }

  /**
   * Attaches a pod and allocates its addresses; the same uid keeps them. @throws Error if no address is free or the
   * disk is full
   */
  put(namespace: string, name: string, { uid, netns, ifname, sandbox }: AttachmentRequest): PodAttachment {
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
   * Removes an attachment and frees its addresses. Succeeds if there is none, or if it belongs to another sandbox,
   * which is kept. Returns whether one was removed.
   */
  remove(namespace: string, name: string, which: Incarnation = {}): boolean {
    const known = this.get(namespace, name);
    if (!known || !isIncarnation(known, which)) return false;
    this.#set(`${namespace}/${name}`, undefined);
    this.#forget(known);
    return true;
  }

  #set(key: string, endpoint: PodAttachment | undefined): void {
    this.#changed.add(key);
    if (endpoint) this.#endpoints.set(key, endpoint);
    else this.#endpoints.delete(key);
  }

  #forget(endpoint: PodAttachment): void {
    this.#removeFile(endpoint);
    this.#release(endpoint.ips);
  }

  /** If the order cannot be written to disk, the address is free all the same. */
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
      return []; // missing or unreadable: addresses are allocated in turn
    }
  }

  #removeFile({ device }: PodAttachment): void {
    rmSync(join(this.#folder, `${device}.json`), { force: true });
  }

  #write(endpoint: PodAttachment): void {
    writeState(join(this.#folder, `${endpoint.device}.json`), JSON.stringify(endpoint));
  }

  #read(file: string): void {
    const path = join(this.#folder, file);
    try {
      const endpoint = stored.parse(JSON.parse(readFileSync(path, "utf8")));
      // two files for one pod: an agent ended between writing the new file and removing the old one
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

/** Whether this attachment is meant. Unknown ids match any. */
function isIncarnation(known: PodAttachment, which: Incarnation): boolean {
  return (["uid", "netns", "sandbox"] as const).every(
    (field) => which[field] === undefined || known[field] === undefined || which[field] === known[field],
  );
}
