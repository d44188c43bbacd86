import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNamespace } from "../../kernel/index.ts";
import { Collection } from "./collection.ts";
import type { ApiObject } from "./objects.ts";

/** The collections that an agent lists and watches, by plural, with the prefix of their path. */
const SERVED = {
  pods: { folder: "/api/v1", kind: "Pod", apiVersion: "v1" },
  nodes: { folder: "/api/v1", kind: "Node", apiVersion: "v1" },
  namespaces: { folder: "/api/v1", kind: "Namespace", apiVersion: "v1" },
  services: { folder: "/api/v1", kind: "Service", apiVersion: "v1" },
  endpointslices: { folder: "/apis/discovery.k8s.io/v1", kind: "EndpointSlice", apiVersion: "discovery.k8s.io/v1" },
  limits: { folder: "/apis/weir.dev/v1alpha1", kind: "Limit", apiVersion: "weir.dev/v1alpha1" },
  impairments: { folder: "/apis/weir.dev/v1alpha1", kind: "Impairment", apiVersion: "weir.dev/v1alpha1" },
} as const;
export type Plural = keyof typeof SERVED;
export type Seed = Partial<Record<Plural, readonly ApiObject[]>>;

/**
 * A Kubernetes API server for one agent, over HTTPS in the agent's network namespace. It serves lists in pages and watches with
 * bookmarks, and accepts the agent's reports. It is many times faster than a real one, so that the agent is measured.
 */
export class ScaleApi {
  readonly kubeconfig: object;
  readonly #server: Server;
  readonly #collections: ReadonlyMap<string, Collection>;

  private constructor(server: Server, collections: ReadonlyMap<string, Collection>, kubeconfig: object) {
    this.#server = server;
    this.#collections = collections;
    this.kubeconfig = kubeconfig;
  }

  /** @param netns path of the network namespace in which it listens at 127.0.0.1 */
  static async up(netns: string, seed: Seed): Promise<ScaleApi> {
    const versions = { last: 0 };
    const entries = Object.entries(SERVED).map(([plural, { folder, ...names }]): [string, Collection] => {
      const collection = new Collection(names, versions);
      collection.load(seed[plural as Plural] ?? []);
      return [`${folder}/${plural}`, collection];
    });
    const collections = new Map(entries);
    const certificate = makeCertificate();
    const server = createServer(certificate, (request, response) => void answer(collections, request, response));
    // without a host name the socket is created synchronously, in this namespace
    inNamespace(netns, () => server.listen(0));
    await new Promise<void>((done, failed) => server.once("listening", done).once("error", failed));
    const { port } = server.address() as AddressInfo;
    return new ScaleApi(server, collections, kubeconfigOf(port, certificate.cert));
  }

  /** Creates or replaces an object, like another client, and notifies watches. */
  put(plural: Plural, object: ApiObject): void {
    this.#collection(plural).put(object);
  }

  remove(plural: Plural, object: ApiObject): void {
    this.#collection(plural).remove(object);
  }

  /** Number of all objects. */
  get size(): number {
    return [...this.#collections.values()].reduce((sum, { size }) => sum + size, 0);
  }

  #collection(plural: Plural): Collection {
    return this.#collections.get(`${SERVED[plural].folder}/${plural}`) as Collection;
  }

  async close(): Promise<void> {
    for (const collection of this.#collections.values()) collection.close();
    await new Promise<void>((done) => {
      this.#server.close(() => done());
      this.#server.closeAllConnections();
    });
  }
}

async function answer(
  collections: ReadonlyMap<string, Collection>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "https://x");
  const collection = collections.get(url.pathname);
  if (request.method === "GET" && collection) {
    if (url.searchParams.has("watch")) collection.watch(url.searchParams, response);
    else collection.list(url.searchParams, response);
    return;
  }
  const text = (await request.toArray()).join("");
  const target = /^(.*)\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)\/status$/.exec(url.pathname);
  if (request.method === "PATCH" && target) {
    const [, folder, namespace, plural, name] = target;
    const reported = (JSON.parse(text) as { status?: object }).status ?? {};
    const taken = collections.get(`${folder}/${plural}`)?.report(`${namespace}/${name}`, reported);
    return send(response, taken === undefined ? 404 : 200, taken ?? refusal(404));
  }
  if (request.method === "POST" && url.pathname.endsWith("/events")) return send(response, 201, text);
  send(response, 404, refusal(404));
}

const refusal = (code: number): string => JSON.stringify({ kind: "Status", status: "Failure", code });

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(text);
}

function kubeconfigOf(port: number, certificate: string): object {
  const authority = Buffer.from(certificate).toString("base64");
  const cluster = { server: `https://127.0.0.1:${port}`, "certificate-authority-data": authority };
  return {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "scale" },
    clusters: [{ name: "scale", cluster }],
    users: [{ name: "agent", user: { token: "scale" } }],
    contexts: [{ name: "scale", context: { cluster: "scale", user: "agent" } }],
  };
}

/** A self-signed certificate for 127.0.0.1, PEM. */
function makeCertificate(): { cert: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), "weir-scale-tls-"));
  try {
    const files = ["-keyout", join(folder, "key"), "-out", join(folder, "cert")];
    const subject = ["-subj", "/CN=scale", "-addext", "subjectAltName=IP:127.0.0.1"];
    const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    execFileSync("openssl", [...kind, ...files, ...subject], { stdio: "ignore" });
    return { key: readFileSync(join(folder, "key"), "utf8"), cert: readFileSync(join(folder, "cert"), "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
