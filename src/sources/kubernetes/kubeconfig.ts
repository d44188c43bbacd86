import * as z from "zod";
import { readDocuments } from "../manifests/document.ts";
import type { ReadFile } from "./files.ts";

/** A kubeconfig is unusable. The message names the file and, if possible, the field. */
export class KubernetesConfigError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "KubernetesConfigError";
  }
}

const text = z.string().nullish();
const flag = z.boolean().nullish();

const cluster = z.looseObject({
  server: z.string().min(1, "must not be empty"),
  "certificate-authority": text,
  "certificate-authority-data": text,
  "insecure-skip-tls-verify": flag,
  "tls-server-name": text,
  "proxy-url": text,
});
const user = z.looseObject({
  token: text,
  tokenFile: text,
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
});
const context = z.looseObject({ cluster: z.string().min(1), user: text, namespace: text });

const listOf = <T extends z.ZodType>(schema: T) => z.array(schema).nullish();
const kubeconfig = z.looseObject({
  "current-context": text,
  clusters: listOf(z.looseObject({ name: z.string(), cluster })),
  users: listOf(z.looseObject({ name: z.string(), user: user.nullish() })),
  contexts: listOf(z.looseObject({ name: z.string(), context })),
});

/** An entry, with its file and field, e.g. `users[1].user`. */
export interface Entry<T> {
  value: T;
  file: string;
  field: string;
}
export type Cluster = z.output<typeof cluster>;
export type User = z.output<typeof user>;

/** Merged kubeconfig files: of two entries with the same name the first counts, as in kubectl. */
export interface Kubeconfig {
  files: readonly string[];
  current: string | undefined;
  clusters: ReadonlyMap<string, Entry<Cluster>>;
  users: ReadonlyMap<string, Entry<User>>;
  contexts: ReadonlyMap<string, Entry<z.output<typeof context>>>;
}

/**
 * Reads and merges kubeconfig files. @param missing whether a missing file is an error
 * @throws KubernetesConfigError
 */
export function readKubeconfig(
  files: readonly string[],
  missing: "error" | "skip",
  readText: ReadFile,
): Kubeconfig | undefined {
  const read = files.flatMap((file) => {
    const parsed = readFile(file, missing, readText);
    return parsed ? [{ file, ...parsed }] : [];
  });
  if (read.length === 0) return undefined;
  const clusters = new Map<string, Entry<Cluster>>();
  const users = new Map<string, Entry<User>>();
  const contexts = new Map<string, Entry<z.output<typeof context>>>();
  const put = <T>(map: Map<string, Entry<T>>, name: string, entry: Entry<T>) => map.has(name) || map.set(name, entry);
  for (const { file, value } of read) {
    for (const [at, one] of (value.clusters ?? []).entries())
      put(clusters, one.name, { value: one.cluster, file, field: `clusters[${at}].cluster` });
    for (const [at, one] of (value.users ?? []).entries())
      put(users, one.name, { value: one.user ?? {}, file, field: `users[${at}].user` });
    for (const [at, one] of (value.contexts ?? []).entries())
      put(contexts, one.name, { value: one.context, file, field: `contexts[${at}].context` });
  }
  const current = read.map((one) => one.value["current-context"]).find((name) => name) ?? undefined;
  return { files: read.map((one) => one.file), current, clusters, users, contexts };
}

function readFile(
  file: string,
  missing: "error" | "skip",
  readText: ReadFile,
): { value: z.output<typeof kubeconfig> } | undefined {
  let source: string;
  try {
    source = readText(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    if (missing === "skip" && code === "ENOENT") return undefined;
    throw new KubernetesConfigError(`read kubeconfig ${file}: ${code}`, error);
  }
  const [document] = readDocuments(source, file);
  if (!document) throw new KubernetesConfigError(`read kubeconfig ${file}: is empty`);
  if ("problem" in document)
    throw new KubernetesConfigError(`read kubeconfig ${file}: ${document.problem} (${document.at})`);
  const result = kubeconfig.safeParse(document.value);
  if (result.success) return { value: result.data };
  const [issue] = result.error.issues;
  const path = issue?.path ?? [];
  const field = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const where = `${field.replace(/^\./, "") || "the file"}: ${issue?.message} (${document.locate(path)})`;
  throw new KubernetesConfigError(`read kubeconfig ${file}: ${where}`);
}
