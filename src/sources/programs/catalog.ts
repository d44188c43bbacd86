import { parseDocument, visit } from "yaml";
import * as z from "zod";
import { type Catalog, type CatalogProgram, NO_CATALOG } from "../../model/catalog.ts";
import { checkMacroName, checkProgramName } from "../../model/program-rules.ts";
import { bad, good, quote, type Result } from "../../model/text.ts";
import { apiVersion } from "../../model/version.ts";
import { inWords } from "../../model/wording.ts";
import { formatPath } from "../manifests/judge.ts";
import { isFileName, OwnedFolder } from "./folder.ts";

/** The administrator's list of programs, in the folder itself. */
export const LIST = "programs.yaml";
const LONGEST_LIST = 256 * 1024;
const LONGEST_SOURCE = 256 * 1024;
const MOST_PROGRAMS = 256;
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

const judged = (check: (text: string) => string | undefined) =>
  z.string().superRefine((text, context) => {
    const message = check(text);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
const integer = z.bigint().min(INT64.min).max(INT64.max);

const macro = z
  .strictObject({
    name: judged(checkMacroName),
    min: integer,
    max: integer,
    default: integer.optional(),
    required: z.boolean().optional(),
  })
  .refine(({ min, max }) => min <= max, "min must not be above max")
  .refine(
    (one) => one.default === undefined || (one.default >= one.min && one.default <= one.max),
    "default must be within min and max",
  );

const program = z.strictObject({
  name: judged(checkProgramName),
  source: judged((text) =>
    isFileName(text) && text.endsWith(".c")
      ? undefined
      : `${quote(text)} is no file name in this folder that ends in .c`,
  ),
  description: z.string().max(200).optional(),
  directions: z
    .array(z.enum(["ingress", "egress"]))
    .min(1)
    .default(["ingress", "egress"]),
  macros: z.array(macro).max(16).default([]),
});

const list = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal("ProgramList"),
  programs: z.array(z.unknown()).max(MOST_PROGRAMS),
});

/** Parses a list. An invalid entry is refused by itself. Reasons have the field's path. */
export function parseList(text: string): Result<Pick<Catalog, "programs" | "refused">> {
  const document = parseDocument(text, { prettyErrors: false, intAsBigInt: true });
  const [broken] = document.errors;
  if (broken) return bad(`${LIST}: ${broken.message}`);
  let hasAlias = false;
  visit(document, {
    Alias: () => {
      hasAlias = true;
      return visit.BREAK;
    },
  });
  if (hasAlias) return bad(`${LIST}: aliases are not taken`); // a few nested aliases expand to gigabytes
  const parsed = list.safeParse(document.toJS(), { error: inWords });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return bad(`${LIST}: ${formatPath(issue?.path ?? []) || "the list"}: ${issue?.message}`);
  }
  const programs = new Map<string, CatalogProgram>();
  const refused = new Map<string, string>();
  for (const [index, entry] of parsed.data.programs.entries()) {
    const place = `programs[${index}]`;
    const name = nameOf(entry) ?? place;
    const read = parseEntry(entry, place);
    if (refused.has(name)) continue; // an entry of this name is refused for another reason, which is reported first
    if (programs.has(name)) refused.set(name, `${LIST}: ${place}: ${quote(name)} is listed twice`);
    else if (read.ok) programs.set(name, read.value);
    else refused.set(name, read.reason);
  }
  for (const name of refused.keys()) programs.delete(name);
  return good({ programs, refused });
}

function nameOf(entry: unknown): string | undefined {
  const { name } = (entry ?? {}) as { name?: unknown };
  return typeof name === "string" && checkProgramName(name) === undefined ? name : undefined;
}

function parseEntry(entry: unknown, place: string): Result<CatalogProgram> {
  const parsed = program.safeParse(entry, { error: inWords });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = formatPath(issue?.path ?? []);
    return bad(`${LIST}: ${place}${field && !field.startsWith("[") ? "." : ""}${field}: ${issue?.message}`);
  }
  const { source, description, ...one } = parsed.data;
  const twice = one.macros.find(({ name }, index) => one.macros.findIndex((other) => other.name === name) !== index);
  if (twice) return bad(`${LIST}: ${place}.macros: ${quote(one.name)} declares macro ${twice.name} twice`);
  return good({ ...one, file: source, description });
}

/** The content of the administrator's folder. */
export interface ProgramFolder {
  catalog: Catalog;
  /** The source of a file name, or the reason why it is unusable. */
  source(file: string): Result<Buffer>;
}

/** Reads the list and the sources of listed programs. An unusable folder is the catalog's `reason`. */
export function readProgramFolder(path: string): ProgramFolder {
  const sources = new Map<string, Result<Buffer>>();
  const source = (file: string): Result<Buffer> => sources.get(file) ?? bad(`${quote(file)} is not listed`);
  let folder: OwnedFolder | undefined;
  try {
    folder = OwnedFolder.open(path);
    const parsed = parseList(folder.read(LIST, LONGEST_LIST).toString("utf8"));
    if (!parsed.ok) return { catalog: { ...NO_CATALOG, reason: parsed.reason }, source };
    for (const { file } of parsed.value.programs.values()) sources.set(file, readSource(folder, file));
    return { catalog: { ...parsed.value, reason: undefined }, source };
  } catch (error) {
    return { catalog: { ...NO_CATALOG, reason: (error as Error).message }, source };
  } finally {
    folder?.close();
  }
}

function readSource(folder: OwnedFolder, file: string): Result<Buffer> {
  try {
    return good(folder.read(file, LONGEST_SOURCE));
  } catch (error) {
    return bad((error as Error).message);
  }
}
