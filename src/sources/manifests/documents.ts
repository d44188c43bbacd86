import type { Problem } from "../../model/problem.ts";
import { readDocuments } from "./document.ts";
import { findManifests, readManifest } from "./files.ts";
import { listItems, parseManifests } from "./parse.ts";
import { KINDS } from "./schemas.ts";
import { isFields } from "./types.ts";

/** A source of manifests: a file or folder, or a text with a name for messages. */
export type ManifestInput = { path: string } | { text: string; name: string };

/** A document of a manifest file that passed its schema, as written. */
export interface ManifestDocument {
  /** `Kind/namespace/name`. */
  key: string;
  document: Readonly<Record<string, unknown>>;
}

/**
 * Reads manifests as documents with the agent's schemas, and expands lists. Invalid ones are in `problems`.
 * @throws ManifestError if the path cannot be read
 */
export function readManifestDocuments(inputs: readonly ManifestInput[]): {
  documents: ManifestDocument[];
  problems: Problem[];
} {
  const documents: ManifestDocument[] = [];
  const problems: Problem[] = [];
  for (const input of inputs) {
    for (const one of textsOf(input)) {
      if ("problem" in one) problems.push(one.problem);
      else {
        problems.push(...parseManifests(one.text, one.name, "agent").problems);
        documents.push(...documentsOf(one.text, one.name));
      }
    }
  }
  const known = new Set<string>();
  for (const { key } of documents) {
    if (known.has(key)) problems.push({ object: key, message: "is written twice; remove one" });
    known.add(key);
  }
  return { documents, problems };
}

function* textsOf(input: ManifestInput): Generator<{ text: string; name: string } | { problem: Problem }> {
  if ("text" in input) return yield input;
  const { files, problems } = findManifests(input.path);
  for (const problem of problems) yield { problem };
  for (const file of files) {
    const read = readManifest(file);
    yield "text" in read ? { text: read.text, name: file.name } : { problem: read.problem };
  }
}

function documentsOf(text: string, name: string): ManifestDocument[] {
  return readDocuments(text, name)
    .flatMap((one) => ("value" in one ? flat(one.value) : []))
    .flatMap((value) => {
      const [placed] = parseManifests(JSON.stringify(value) ?? "", name, "agent").objects;
      return placed ? [{ key: placed.key, document: value as ManifestDocument["document"] }] : [];
    });
}

function flat(value: unknown): unknown[] {
  return (isFields(value) && listItems(value)?.flatMap(flat)) || [value];
}

/** The kind named by a word such as `impairment`, `Impairments` or `Impairment`. */
export function findKind(word: string): { kind: string; namespaced: boolean } | undefined {
  const singular = word.toLowerCase().replace(/s$/, "");
  const found = [...KINDS].find(([kind]) => kind.toLowerCase() === singular);
  return found && { kind: found[0], namespaced: found[1].namespaced };
}

/** The API resource of a kind; undefined for a kind that Weir does not read. */
export function resourceOf(
  kind: string,
): { apiVersion: string; kind: string; plural: string; namespaced: boolean } | undefined {
  const known = KINDS.get(kind);
  // all kinds of Weir form their plural in the same way
  return (
    known && { apiVersion: known.apiVersion, kind, plural: `${kind.toLowerCase()}s`, namespaced: known.namespaced }
  );
}
