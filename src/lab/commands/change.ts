import { objectKey } from "../../model/names.ts";
import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import { findKind, parseManifests, readManifests } from "../../sources/manifests/index.ts";
import { LabClient } from "../client.ts";
import { LabError } from "../errors.ts";
import { labNames } from "../names.ts";
import { isError } from "../objects.ts";
import { readRecord } from "../record.ts";
import { readOnly } from "../source.ts";
import { type LabIo, labsRoot, needRoot, tellProblems, withProgress } from "./io.ts";

export interface ChangeOptions {
  name: string;
  /** Absolute paths. */
  files: readonly string[];
  /** Manifests from another source, e.g. standard input. */
  text?: string | undefined;
}

/** An object before and after a change; `before` is undefined if it would be new. */
export interface ObjectChange {
  key: string;
  before?: object | undefined;
  after: object;
}

const NOT_READ = "read manifests: some are invalid (see above); nothing was changed";
const nothing = (what: string) =>
  new LabError("manifests", `${what}: the manifests have no object of a kind that a lab uses; nothing was changed`);

/**
 * Creates or changes objects, all or none; resolves when the change is in force. Exit code 1, with reasons, if a part
 * of it is not.
 */
export async function apply(options: ChangeOptions, io: LabIo): Promise<number> {
  const client = running(options.name, io);
  const { objects, problems: found } = read(options);
  if (told(io, found) > 0) throw new LabError("manifests", NOT_READ);
  if (objects.length === 0) throw nothing("apply objects");
  const { problems } = await withProgress(io, ({ report }) => client.apply(objects, report));
  return told(io, problems);
}

/**
 * The changes that `apply` would make. `problems`: why it would be refused; `previewed`: problems that the objects would
 * have.
 */
export async function changes(
  options: ChangeOptions,
  io: LabIo,
): Promise<{ changes: ObjectChange[]; problems: readonly Problem[]; previewed: readonly Problem[] }> {
  const client = running(options.name, io);
  const { objects, problems } = read(options);
  if (objects.length === 0 && !problems.some(isError)) {
    tellProblems(io, problems);
    throw nothing("compare objects");
  }
  const held = new Map((await client.objects()).map((object) => [keyOf(object), object]));
  // As the lab holds it: without the undefined fields that JSON omits.
  const plain = (object: ManifestObject): object => JSON.parse(JSON.stringify(object));
  return {
    changes: objects.map((object) => ({ key: keyOf(object), before: held.get(keyOf(object)), after: plain(object) })),
    problems,
    previewed: problems.some(isError) ? [] : await client.preview(objects),
  };
}

/**
 * Deletes the objects named in the files (only the names are used) and those of `keys`; resolves when they are gone. A
 * dry run only prints them.
 */
export async function del(
  options: ChangeOptions & { keys?: readonly string[] | undefined; dryRun?: boolean | undefined },
  io: LabIo,
): Promise<number> {
  const client = running(options.name, io, { readOnly: true }); // An agent may hold an object that `weir impair` created.
  const { objects, problems: found } = read(options);
  // An object with an error still has a name.
  const named = new Set(found.filter((one) => isError(one) && isKey(one.object)).map(({ object }) => object));
  const keys = [...new Set([...(options.keys ?? []), ...objects.map(keyOf), ...named])];
  const wrong = found.filter((one) => isError(one) && !named.has(one.object));
  if (keys.length === 0) {
    tellProblems(io, found);
    throw nothing("delete objects");
  }
  const { removed, problems } = options.dryRun
    ? { removed: await held(client, keys), problems: [] }
    : await withProgress(io, ({ report }) => client.delete(keys, report));
  for (const key of removed) io.stdout.write(`${options.dryRun ? "would delete" : "deleted"} ${key}\n`);
  const missing = keys.filter((key) => !removed.includes(key));
  for (const key of missing) io.stderr.write(`! ${key}: not in lab ${options.name}\n`);
  return told(io, [...wrong, ...problems]);
}

/** The lab's objects, for `weir get objects`; empty if they are in a Kubernetes API. */
export async function objects({ name }: { name: string }, io: LabIo) {
  const held = await new LabClient(labNames(name, labsRoot(io)), io.signal).objects();
  return held.map((object) => {
    const { kind, metadata } = object;
    const namespace = "namespace" in metadata ? (metadata.namespace ?? null) : null;
    return { kind, namespace, name: metadata.name, manifest: { ...object } };
  });
}

/** True if a problem is about an object, not about a file. */
const isKey = (object: string): boolean => findKind(object.slice(0, object.indexOf("/"))) !== undefined;

async function held(client: LabClient, keys: readonly string[]): Promise<string[]> {
  const there = new Set((await client.objects()).map(keyOf));
  return keys.filter((key) => there.has(key));
}

const keyOf = ({ kind, metadata }: ManifestObject): string => objectKey(kind, metadata);

function read({ files, text }: ChangeOptions): { objects: ManifestObject[]; problems: Problem[] } {
  const snapshots = files.map((path) => readManifests(path));
  const parsed = text === undefined ? undefined : parseManifests(text, "stdin");
  const objects = [...snapshots.flatMap((one) => one.objects), ...(parsed?.objects ?? []).map(({ object }) => object)];
  const keys = objects.map(keyOf);
  const seen = new Set<string>();
  const twice = new Set(keys.filter((key) => seen.size === seen.add(key).size));
  return {
    objects,
    problems: [
      ...snapshots.flatMap((one) => one.problems),
      ...(parsed?.problems ?? []),
      ...[...twice].map((object) => ({ object, message: "is in two of the given files; remove one" })),
    ],
  };
}

function running(name: string, io: LabIo, may = { readOnly: false }): LabClient {
  needRoot(`change lab ${name}`);
  const names = labNames(name, labsRoot(io));
  const { kubernetes } = readRecord(names);
  if (!may.readOnly && kubernetes !== undefined) throw readOnly(name);
  return new LabClient(names, io.signal);
}

function told(io: LabIo, problems: readonly Problem[]): number {
  return tellProblems(io, problems) ? 1 : 0;
}
