import { KubernetesClient, loadKubernetesConfig, Reflector, type Resource } from "../../sources/kubernetes/index.ts";
import type { KubernetesTarget } from "../record.ts";
import { type Feed, type KubeApi, statusOf } from "./api.ts";
import type { ApiObject } from "./objects.ts";

/** Opens the API of a kubeconfig's context. Throws KubernetesConfigError; whether the API answers shows later. */
export async function connect({ kubeconfig, context }: KubernetesTarget): Promise<KubeApi> {
  return apiOf(new KubernetesClient(loadKubernetesConfig({ kubeconfig, context, env: {}, home: "/" })));
}

/** Throws KubernetesConfigError if there is none. */
export function currentContext(kubeconfig: string): string {
  return loadKubernetesConfig({ kubeconfig, env: {}, home: "/" }).context ?? "";
}

const STRATEGIC = "application/strategic-merge-patch+json";
/** A lab's pods are to follow soon when its API is back: the longest wait between two attempts, ms. */
const LONGEST = 5000;

/** What a lab needs of an API, by Weir's own client. */
export function apiOf(client: KubernetesClient): KubeApi {
  const unlessMissing = (error: unknown): undefined => {
    if (statusOf(error) !== 404) throw error;
    return undefined;
  };
  return {
    server: client.server,
    get: (path) => client.request("GET", checked(path)).catch(unlessMissing),
    post: (path, body) => client.request("POST", checked(path), { body }),
    patch: (path, body) => client.request("PATCH", checked(path), { body, type: STRATEGIC }),
    delete: async (path, body) => {
      await client.request("DELETE", checked(path), { body }).catch(unlessMissing);
    },
    follow: (path, onChange, optional = false) => feed(client, path, onChange, optional),
  };
}

/** A name that could step up or aside in a path is no name of an object. */
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
    times: { longest: LONGEST },
  });
  let synced = false;
  reflector.synced.then(
    () => {
      synced = true;
      onChange(); // a collection that is empty has no change to tell
    },
    () => {}, // closed before
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
