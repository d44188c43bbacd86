import { z } from "zod";
import {
  type Check,
  checkAnnotationsSize,
  checkConfigKey,
  checkLabelName,
  checkLabelValue,
  checkQualifiedName,
  checkSubdomain,
} from "../../model/names.ts";
import { quote } from "../../model/text.ts";
import { type Hint, says } from "../../model/wording.ts";

/** Building blocks of the schemas. Kubernetes takes `null` for "left out" everywhere, and so do these. */

/** A string that passes a check of names.ts. */
export const checked = (check: Check, hint?: Hint) =>
  z.string(hint && { error: says(hint) }).superRefine((value, context) => {
    const reason = check(value);
    if (reason) context.addIssue({ code: "custom", message: reason });
  });

/**
 * Options of a check that compares fields, list members or a transformed value: it runs if all below is sound. Without
 * them zod runs it on what is already refused, whose parts may be missing or not yet transformed.
 */
export const IF_SOUND = { when: ({ issues }: { issues: readonly unknown[] }) => issues.length === 0 };

/** An optional field; `null` counts as left out. */
export const maybe = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

/** A list; left out or `null` is empty. */
export const listOf = <T extends z.ZodType>(schema: T) =>
  z
    .array(schema)
    .nullish()
    .transform((value): z.output<T>[] => value ?? []);

/** Text that goes to the operating system: it cannot hold a NUL. */
export const plainText = z.string().refine((value) => !value.includes("\0"), "must not contain a NUL character");

/** A whole number with bounds. */
export const whole = (least: number, most: number) => {
  const range = `a whole number from ${least} to ${most}`;
  const error = ({ code, input }: { code?: string; input?: unknown }) => {
    if (code === "invalid_type" && input === undefined) return `is required; write ${range}`;
    const isText = typeof input === "string" && /^\d{1,15}$/.test(input);
    return `must be ${range}${isText ? `; write ${input} without quotes` : ""}`;
  };
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error });
};

/** A list that is not empty. */
export const some = <T extends z.ZodType>(schema: T, most: number, hint: Hint) => {
  const error = `must have 1 to ${most} members`;
  return z
    .array(schema, { error: says(hint) })
    .min(1, { error })
    .max(most, { error });
};

interface MapChecks {
  key: Check;
  value?: Check;
  whole?: (map: Readonly<Record<string, string>>) => string | undefined;
}

/** A map of strings. Built without assignment, so a key such as `__proto__` is only a key. */
export const stringMap = (checks: MapChecks) =>
  z
    .unknown()
    .optional()
    .transform((raw, context): Record<string, string> => {
      const map = toStrings(raw);
      for (const { message, path } of map
        ? checkMap(raw as object, map, checks)
        : [{ message: "must be a map of strings", path: [] }]) {
        context.addIssue({ code: "custom", message, path });
      }
      return map ?? {};
    });

function toStrings(raw: unknown): Record<string, string> | undefined {
  if (raw === undefined || raw === null) return {};
  if (typeof raw !== "object" || Array.isArray(raw)) return undefined;
  // `key:` with nothing after it is an empty value, as for the API server.
  return Object.fromEntries(Object.entries(raw).map(([name, item]) => [name, typeof item === "string" ? item : ""]));
}

function checkMap(raw: object | undefined, map: Record<string, string>, { key, value, whole: all }: MapChecks) {
  const issues: { message: string; path: string[] }[] = [];
  for (const [name, item] of Object.entries(raw ?? {})) {
    const message = key(name) ?? (typeof item === "string" ? value?.(item) : notText(item));
    if (message) issues.push({ message, path: [name] });
  }
  const message = all?.(map);
  if (message) issues.push({ message, path: [] });
  return issues;
}

function notText(item: unknown): string | undefined {
  if (item === null) return undefined;
  if (typeof item === "object") return "must be a string";
  return `must be a string; put it in quotes: ${quote(String(item))}`;
}

export const labels = stringMap({ key: checkQualifiedName, value: checkLabelValue });
export const annotations = stringMap({
  // The API server compares annotation keys in lower case.
  key: (name) => checkQualifiedName(name.toLowerCase()),
  whole: checkAnnotationsSize,
});
export const configData = stringMap({ key: checkConfigKey });
const isBase64 = (text: string): boolean => {
  const plain = text.replace(/[\r\n]/g, "");
  return plain.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(plain);
};
export const binaryData = stringMap({
  key: checkConfigKey,
  value: (text) => (isBase64(text) ? undefined : "must be in base64"),
});

/** Ends up in cgroup paths and file names. */
const uid = checked((value) => checkLabelValue(value) ?? (value === "" ? "must not be empty" : undefined));

/** metadata of an object whose name follows `name`'s rules. */
export const metadata = (name: Check) =>
  z.object({
    name: checked(name),
    uid: maybe(uid),
    labels,
    annotations,
    resourceVersion: maybe(plainText.max(128)),
  });

/** metadata of an object in a namespace: `default` if left out. */
export const namespaced = (name: Check = checkSubdomain) =>
  metadata(name).extend({
    namespace: checked(checkLabelName)
      .nullish()
      .transform((value) => value || "default"),
  });
