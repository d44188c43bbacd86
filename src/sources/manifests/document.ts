import type { Document, LineCounter, ScalarTag } from "yaml";
import { isNode, isScalar, LineCounter as Lines, parseAllDocuments } from "yaml";
import { quote } from "../../model/text.ts";
import { isDeepJson, refuseYaml, repeatedKey } from "./guard.ts";
import { jsonPositions } from "./positions.ts";

/** One document of a file as plain data, or the reason why it cannot be read. */
export type RawDocument =
  | { value: unknown; locate(path: readonly PropertyKey[]): string }
  | { problem: string; at: string };

/** The largest file, bytes, and the most documents in it. */
export const LARGEST_FILE = 4 * 1024 * 1024;
const MOST_DOCUMENTS = 10_000;
/** Byte order marks. Concatenated files have one at the beginning of each. */
const MARKS = /^\ufeff/gm;
/** Limit on alias expansion, against documents that expand exponentially. */
const MOST_ALIASES = 100;

/**
 * Splits a file into documents. YAML 1.2 without merge keys, or JSON. Never throws.
 * Positions are `file:line:column`, counted from 1.
 */
export function readDocuments(text: string, file: string): RawDocument[] {
  const plain = text.replace(MARKS, "");
  return readJson(plain, file) ?? readYaml(plain, file);
}

/** Faster parser for files written by programs. Undefined: not JSON. */
function readJson(text: string, file: string): RawDocument[] | undefined {
  if (!text.startsWith("{")) return undefined;
  if (isDeepJson(text)) return [{ problem: "is not read as JSON: nested too deeply", at: `${file}:1:1` }];
  try {
    const value: unknown = JSON.parse(text);
    let find: ReturnType<typeof jsonPositions> | undefined;
    const locate = (path: readonly PropertyKey[]): string => {
      find ??= jsonPositions(text);
      const { line, column } = find(path);
      return `${file}:${line}:${column}`;
    };
    return [{ value, locate }];
  } catch {
    return undefined;
  }
}

/** `0755` as kubectl reads it: octal. YAML 1.2 would read it as decimal. */
const OCTAL: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  identify: () => false,
  test: /^[-+]?0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

function readYaml(text: string, file: string): RawDocument[] {
  const lines = new Lines();
  try {
    const refused = refuseYaml(text);
    if (refused) return [{ problem: `is not read as YAML: ${refused}`, at: `${file}:1:1` }];
    const documents = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      customTags: (tags) => [OCTAL, ...tags],
      logLevel: "silent",
    });
    if (!Array.isArray(documents)) return [];
    if (documents.length > MOST_DOCUMENTS) {
      return [{ problem: `has more than ${MOST_DOCUMENTS} documents`, at: `${file}:1:1` }];
    }
    return documents.filter((one) => one.errors.length > 0 || !isEmpty(one)).map((one) => toRaw(one, lines, file));
  } catch (error) {
    return [{ problem: `cannot be read as YAML: ${reasonOf(error)}`, at: `${file}:1:1` }];
  }
}

/** Documents without content, or with comments only, which templates may create. */
function isEmpty({ contents }: Document.Parsed): boolean {
  return contents === null || (isScalar(contents) && contents.value === null);
}

function toRaw(document: Document.Parsed, lines: LineCounter, file: string): RawDocument {
  const [error] = document.errors;
  if (error) return { problem: oneLine(error.message), at: position(lines, file, error.pos[0]) };
  const repeated = repeatedKey(document.contents);
  if (repeated) {
    return { problem: `the key ${quote(repeated.key)} is there twice`, at: position(lines, file, repeated.offset) };
  }
  const locate = (path: readonly PropertyKey[]) => position(lines, file, offsetOf(document, path));
  try {
    return { value: document.toJS({ maxAliasCount: MOST_ALIASES }), locate };
  } catch (failure) {
    return { problem: `cannot be read as YAML: ${reasonOf(failure)}`, at: locate([]) };
  }
}

/** Offset of the node at `path`, or of the nearest one above it. */
function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? document.range[0];
}

function position(lines: LineCounter, file: string, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
}

function reasonOf(error: unknown): string {
  if (error instanceof ReferenceError) return "its aliases expand to too much";
  return error instanceof Error ? oneLine(error.message) : "unknown error";
}

/** The parser's messages contain text of the file: reduced to one line of printable characters. */
function oneLine(message: string): string {
  return quote(message.split("\n")[0] ?? "").slice(1, -1);
}
