import { objectKey } from "../../model/names.ts";
import type { Problem } from "../../model/objects.ts";
import { readManifests } from "../../sources/manifests/index.ts";
import { LabClient } from "../client.ts";
import { labNames } from "../names.ts";
import { isError } from "../objects.ts";
import { readRecord } from "../record.ts";
import { readOnly } from "../source.ts";
import { type LabIo, labsRoot, needRoot, tellProblems, withProgress } from "./io.ts";

export interface ChangeOptions {
  name: string;
  /** Absolute paths. */
  files: readonly string[];
}

/** Adds or changes objects; resolves when that is in force. Exit code 1 with reasons if some of it is not. */
export async function apply(options: ChangeOptions, io: LabIo): Promise<number> {
  const client = running(options.name, io);
  const snapshots = options.files.map((path) => readManifests(path));
  const objects = snapshots.flatMap((one) => one.objects);
  const found = snapshots.flatMap((one) => one.problems);
  const { problems } = await withProgress(io, ({ report }) => client.apply(objects, report));
  return told(io, [...found, ...problems]);
}

/** Deletes the objects that the files name, whatever else the files say of them; resolves when they are gone. */
export async function del(options: ChangeOptions, io: LabIo): Promise<number> {
  const client = running(options.name, io);
  const snapshots = options.files.map((path) => readManifests(path));
  const keys = snapshots.flatMap((one) => one.objects.map((object) => objectKey(object.kind, object.metadata)));
  const { removed, problems } = await withProgress(io, ({ report }) => client.delete(keys, report));
  for (const key of removed) io.stdout.write(`deleted ${key}\n`);
  const missing = keys.filter((key) => !removed.includes(key));
  for (const key of missing) io.stderr.write(`! ${key}: not in lab ${options.name}\n`);
  return told(io, [...snapshots.flatMap((one) => one.problems.filter(isError)), ...problems]);
}

function running(name: string, io: LabIo): LabClient {
  needRoot(`change lab ${name}`);
  const names = labNames(name, labsRoot(io));
  if (readRecord(names).kubernetes !== undefined) throw readOnly(name);
  return new LabClient(names);
}

function told(io: LabIo, problems: readonly Problem[]): number {
  return tellProblems(io, problems) ? 1 : 0;
}
