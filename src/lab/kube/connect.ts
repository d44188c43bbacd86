import { setTimeout as sleep } from "node:timers/promises";
import {
  KubernetesClient,
  loadKubernetesConfig,
  openAccess,
  Reflector,
  type Resource,
} from "../../sources/kubernetes/index.ts";
import type { KubernetesTarget } from "../record.ts";
import { type Feed, type KubeApi, statusOf } from "./api.ts";
import type { ApiObject } from "./objects.ts";

/** Opens the API of a kubeconfig's context. Throws KubernetesConfigError. Does not check that the API answers. */
export async function connect({ kubeconfig, context }: KubernetesTarget): Promise<KubeApi> {
  return apiOf(new KubernetesClient(openAccess({ kubeconfig, context, env: {}, home: "/" })));
}

/** The name of the current context. Throws KubernetesConfigError if there is none. */
export function currentContext(kubeconfig: string): string {
  return loadKubernetesConfig({ kubeconfig, env: {}, home: "/" }).context ?? "";
}

const STRATEGIC = "application/strategic-merge-patch+json";
/** Longest delay between two attempts, ms: pods should follow soon after the API is back. */
const LONGEST = 5000;
/** Interval at which missing CRDs are looked for, ms: they are often applied after the lab has started. */
const ABSENT = 2000;

/** Delays before retries of a failed call, ms. */
const PAUSES = [50, 100, 200, 400, 800, 1000, 1000, 1000];

/**
 * The calls of KubeApi with Weir's client. Idempotent calls are retried one by one while the API answers 429 or 5xx: an
 * operation of many calls would otherwise rarely succeed as a whole.
 */
export function apiOf(client: KubernetesClient, pauses: readonly number[] = PAUSES): KubeApi {
  const unlessMissing = (error: unknown): undefined => {
    if (statusOf(error) !== 404) throw error;
    return undefined;
  };
  return {
    get server() {
      return client.server;
    },
    get trouble() {
      return client.trouble;
    },
    results: client,
    get: (path) => insist(() => client.request("GET", checked(path)), pauses).catch(unlessMissing),
    post: (path, body) => client.request("POST", checked(path), { body }),
    patch: (path, body) => insist(() => client.request("PATCH", checked(path), { body, type: STRATEGIC }), pauses),
    delete: async (path, body) => {
      await insist(() => client.request("DELETE", checked(path), { body }), pauses).catch(unlessMissing);
    },
    follow: (path, onChange, optional = false) => feed(client, path, onChange, optional),
  };
}

async function insist<T>(call: () => Promise<T>, pauses: readonly number[]): Promise<T> {
  for (const pause of pauses) {
    try {
      return await call();
    } catch (error) {
      const status = statusOf(error) ?? 0;
      if (status !== 429 && status < 500) throw error;
      await sleep(pause);
    }
  }
  return call();
}

/** Refuses names that could change the path, such as "..". */
function checked(path: string): string {
  const [plain = ""] = path.split("?", 1);
  if (!/^(\/[A-Za-z0-9](?!.*\.\.)[-A-Za-z0-9_.:]*)+$/.test(plain))
    throw new TypeError(`${JSON.stringify(plain)} is no path of the API`);
  return path;
}

/** The collection at `/api/VERSION/PLURAL` or `/apis/GROUP/VERSION/PLURAL`. */
function resourceAt(path: string): Resource {
  const [, root, ...parts] = path.split("/");
  const plural = parts.pop() ?? "";
  if (parts.length !== (root === "api" ? 1 : 2)) throw new TypeError(`${path} is no collection of the API`);
  return { apiVersion: parts.join("/"), kind: "", plural };
}

function feed(client: KubernetesClient, path: string, onChange: () => void, optional: boolean): Feed {
  const reflector = new Reflector<ApiObject>({
    client,
    resource: resourceAt(path),
    read: (raw) => raw as ApiObject,
    onChange,
    optional,
    times: { longest: LONGEST, absent: ABSENT },
  });
  let synced = false;
  reflector.synced.then(
    () => {
      synced = true;
      onChange(); // An empty collection has no change event.
    },
    () => {}, // It was closed before the list arrived.
  );
  return {
    get synced() {
      return synced;
    },
    get objects() {
      return [...reflector.objects.values()];
    },
    get trouble() {
      return reflector.trouble;
    },
    get absent() {
      return reflector.absent;
    },
    close: () => reflector.close(),
  };
}
