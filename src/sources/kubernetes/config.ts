import { delimiter, dirname, join, resolve } from "node:path";
import { quote } from "../../model/text.ts";
import { type ReadFile, readText } from "./files.ts";
import {
  type Cluster,
  type Entry,
  type Kubeconfig,
  KubernetesConfigError,
  readKubeconfig,
  type User,
} from "./kubeconfig.ts";

export { KubernetesConfigError } from "./kubeconfig.ts";

/** How to reach a Kubernetes API, with credentials. */
export interface KubernetesConfig {
  /** `https://10.0.0.1:6443`, optionally with a path; without a slash at the end. */
  server: string;
  /** Source of the configuration, for messages: a file and context, or `in-cluster`. */
  origin: string;
  /** Context of the kubeconfig; undefined in a pod. */
  context?: string | undefined;
  namespace: string;
  /** PEM texts. */
  tls: {
    ca?: string | undefined;
    cert?: string | undefined;
    key?: string | undefined;
    serverName?: string | undefined;
    insecure: boolean;
  };
  /** The bearer token. */
  token?: string | undefined;
}

export interface ConfigOptions {
  /** A kubeconfig file; other places are not searched then. */
  kubeconfig?: string | undefined;
  context?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  /** Folder of the pod's service account. */
  serviceAccount?: string | undefined;
}

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Where an API is described: kubeconfig files, or the pod's service account. */
export type Place = { files: readonly string[]; missing: "error" | "skip" } | "pod";

/**
 * Finds the API: the given file, else the files of $KUBECONFIG, else ~/.kube/config, else the pod's own cluster.
 * @throws KubernetesConfigError
 */
export function findPlace({ kubeconfig, context, env, home }: ConfigOptions, read: ReadFile): Place {
  if (kubeconfig) return { files: [kubeconfig], missing: "error" };
  const listed = (env["KUBECONFIG"] ?? "").split(delimiter).filter((file) => file !== "");
  const files = listed.length > 0 ? listed : [join(home, ".kube", "config")];
  if (files.some((file) => isThere(file, read))) return { files, missing: "skip" };
  if (listed.length > 0) throw noneThere(listed);
  if (context) throw new KubernetesConfigError(`find context ${quote(context)}: there is no ${files[0]}`);
  return "pod";
}

/**
 * Reads the configuration at a place.
 * @param before the context used last. Unless a context is configured, it is kept while it exists, since a running
 * agent must not follow a change of `current-context`.
 * @throws KubernetesConfigError
 */
export function readPlace(place: Place, options: ConfigOptions, read: ReadFile, before?: string): KubernetesConfig {
  if (place === "pod") return inCluster(options, read);
  const merged = readKubeconfig(place.files, place.missing, read);
  if (!merged) throw noneThere(place.files);
  const known = before !== undefined && merged.contexts.has(before) ? before : undefined;
  return fromKubeconfig(merged, options.context ?? known, read);
}

/**
 * Reads the configuration once.
 * @throws KubernetesConfigError
 */
export function loadKubernetesConfig(options: ConfigOptions, read: ReadFile = readText): KubernetesConfig {
  return readPlace(findPlace(options, read), options, read);
}

const noneThere = (files: readonly string[]): KubernetesConfigError =>
  new KubernetesConfigError(`read kubeconfig: none of these files is there: ${files.join(", ")}`);

/** A file that exists but is unreadable counts as existing. */
function isThere(file: string, read: ReadFile): boolean {
  try {
    read(file);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

function fromKubeconfig(merged: Kubeconfig, wanted: string | undefined, read: ReadFile): KubernetesConfig {
  const files = merged.files.join(", ");
  const name = wanted ?? merged.current;
  if (!name) throw new KubernetesConfigError(`read kubeconfig ${files}: current-context: is not set (name a context)`);
  const context = merged.contexts.get(name);
  if (!context) {
    const known = [...merged.contexts.keys()].map(quote).join(", ") || "none";
    const field = wanted ? "contexts" : "current-context";
    throw new KubernetesConfigError(
      `read kubeconfig ${files}: ${field}: no context ${quote(name)} (there are: ${known})`,
    );
  }
  const cluster = merged.clusters.get(context.value.cluster);
  if (!cluster) throw fault(context, "cluster", `no cluster ${quote(context.value.cluster)}`);
  const user = context.value.user ? merged.users.get(context.value.user) : undefined;
  if (context.value.user && !user) throw fault(context, "user", `no user ${quote(context.value.user)}`);
  const credentials = user ? credentialsOf(user, read) : {};
  return {
    server: serverOf(cluster),
    origin: `${cluster.file}, context ${quote(name)}`,
    context: name,
    namespace: context.value.namespace || "default",
    tls: { ...trustOf(cluster, read), ...(user && certificateOf(user, read)) },
    ...credentials,
  };
}

function serverOf(entry: Entry<Cluster>): string {
  if (entry.value["proxy-url"]) throw fault(entry, "proxy-url", "proxies are not supported");
  try {
    return checkServer(entry.value.server);
  } catch (error) {
    throw fault(entry, "server", (error as Error).message);
  }
}

function checkServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error(`${quote(server)} is not an http or https URL`);
  if (url.username || url.password) throw new Error("must not hold a name or password");
  if (url.search || url.hash) throw new Error("must not have a query or a fragment");
  return url.href.replace(/\/+$/, "");
}

function trustOf(entry: Entry<Cluster>, read: ReadFile): KubernetesConfig["tls"] {
  const ca = pem(entry, "certificate-authority", "CERTIFICATE", read);
  const insecure = entry.value["insecure-skip-tls-verify"] ?? false;
  if (insecure && ca) throw fault(entry, "insecure-skip-tls-verify", "does not go with a certificate authority");
  const serverName = entry.value["tls-server-name"] || undefined;
  return { insecure, ...(ca && { ca }), ...(serverName && { serverName }) };
}

function certificateOf(entry: Entry<User>, read: ReadFile): { cert?: string; key?: string } {
  const cert = pem(entry, "client-certificate", "CERTIFICATE", read);
  const key = pem(entry, "client-key", "PRIVATE KEY", read);
  if (cert && !key) throw fault(entry, "client-key", "is required with client-certificate");
  if (key && !cert) throw fault(entry, "client-certificate", "is required with client-key");
  return cert && key ? { cert, key } : {};
}

/**
 * Fields that kubectl supports and Weir does not. They are refused rather than ignored, since the API would see another
 * user.
 */
const UNSUPPORTED = ["exec", "auth-provider", "username", "password", "as", "as-uid", "as-groups", "as-user-extra"];

function credentialsOf(entry: Entry<User>, read: ReadFile): { token?: string } {
  for (const field of UNSUPPORTED) {
    if ((entry.value[field] ?? undefined) === undefined) continue;
    throw fault(entry, field, "is not supported; use token, tokenFile or a client certificate");
  }
  const { token, tokenFile } = entry.value;
  // kubectl's order: the file takes precedence
  if (tokenFile)
    return { token: fileToken(resolve(dirname(entry.file), tokenFile), wording(entry, "tokenFile"), read) };
  if (!token) return {};
  if (!isToken(token)) throw fault(entry, "token", NO_TOKEN);
  return { token };
}

const NO_TOKEN = "must be printable characters without spaces";
const isToken = (token: string): boolean => /^[\x21-\x7e]+$/.test(token);

function fileToken(file: string, what: string, read: ReadFile): string {
  const token = textOf(file, what, read).trim();
  if (!isToken(token)) throw new KubernetesConfigError(`${what}: the token in ${file} ${NO_TOKEN}`);
  return token;
}

/** PEM text from `FIELD-data` (base64), or from the file named by `FIELD`. */
function pem<T extends Cluster | User>(
  entry: Entry<T>,
  field: string,
  label: string,
  read: ReadFile,
): string | undefined {
  const data = entry.value[`${field}-data`];
  const file = entry.value[field];
  if (typeof data === "string" && data !== "") {
    const text = Buffer.from(data, "base64").toString("utf8");
    if (!isPem(text, label)) throw fault(entry, `${field}-data`, `is not base64 of a PEM ${label.toLowerCase()}`);
    return text;
  }
  if (typeof file !== "string" || file === "") return undefined;
  const path = resolve(dirname(entry.file), file);
  const text = textOf(path, wording(entry, field), read);
  if (!isPem(text, label)) throw fault(entry, field, `${path} is not a PEM ${label.toLowerCase()}`);
  return text;
}

/** A file that is being written may be incomplete. */
function isPem(text: string, label: string): boolean {
  const count = (mark: string): number => text.split(mark).length - 1;
  const begun = count("-----BEGIN ");
  return begun > 0 && begun === count("-----END ") && text.includes(`${label}-----`);
}

function inCluster(options: ConfigOptions, read: ReadFile): KubernetesConfig {
  const { env, home, serviceAccount = SERVICE_ACCOUNT } = options;
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "443";
  const tokenFile = join(serviceAccount, "token");
  if (!host || !isThere(tokenFile, read)) {
    const hint = "name a kubeconfig file, or set $KUBECONFIG";
    throw new KubernetesConfigError(
      `find a Kubernetes API: no ${join(home, ".kube", "config")}, and not in a pod (${hint})`,
    );
  }
  const what = "read the pod's service account";
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (!URL.canParse(server)) {
    throw new KubernetesConfigError(`${what}: KUBERNETES_SERVICE_HOST and _PORT make no URL: ${quote(server)}`);
  }
  const space = join(serviceAccount, "namespace");
  const file = join(serviceAccount, "ca.crt");
  const ca = textOf(file, what, read);
  if (!isPem(ca, "CERTIFICATE")) throw new KubernetesConfigError(`${what}: ${file} is not a PEM certificate`);
  return {
    server: checkServer(server),
    origin: "in-cluster",
    namespace: (isThere(space, read) && textOf(space, what, read).trim()) || "default",
    tls: { insecure: false, ca },
    token: fileToken(tokenFile, what, read),
  };
}

function textOf(file: string, what: string, read: ReadFile): string {
  try {
    return read(file);
  } catch (error) {
    throw new KubernetesConfigError(`${what}: ${file}: ${(error as NodeJS.ErrnoException).code}`, error);
  }
}

const wording = (entry: Entry<unknown>, field: string): string =>
  `read kubeconfig ${entry.file}: ${entry.field}.${field}`;
const fault = (entry: Entry<unknown>, field: string, reason: string): KubernetesConfigError =>
  new KubernetesConfigError(`${wording(entry, field)}: ${reason}`);
