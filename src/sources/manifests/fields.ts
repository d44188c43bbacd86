import * as z from "zod";
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

/** Building blocks of schemas. Like Kubernetes, they treat `null` as missing. */

/** A string that passes a check of names.ts. */
export const checked = (check: Check, hint?: Hint) =>
  z.string(hint && { error: says(hint) }).superRefine((value, context) => {
    const reason = check(value);
    if (reason) context.addIssue({ code: "custom", message: reason });
  });

/**
 * Options of a check that compares fields, list members or a transformed value: it only runs if the value is otherwise
 * valid. By default zod runs it on refused values too, whose parts may be missing or not transformed.
 */
export const IF_SOUND = { when: ({ issues }: { issues: readonly unknown[] }) => issues.length === 0 };

/** An optional field; `null` counts as missing. */
export const maybe = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

/** A list; missing or `null` counts as empty. */
export const listOf = <T extends z.ZodType>(schema: T) =>
  z
    .array(schema)
    .nullish()
    .transform((value): z.output<T>[] => value ?? []);

/** Text passed to the operating system, which cannot contain NUL. */
export const plainText = z.string().refine((value) => !value.includes("\0"), "must not contain a NUL character");

/** An integer within bounds. */
export const whole = (least: number, most: number) => {
  const range = `a whole number from ${least} to ${most}`;
  const error = ({ code, input }: { code?: string; input?: unknown }) => {
    if (code === "invalid_type" && input === undefined) return `is required; write ${range}`;
    const isText = typeof input === "string" && /^\d{1,15}$/.test(input);
    return `must be ${range}${isText ? `; write ${input} without quotes` : ""}`;
  };
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error });
};

/** A list with at least one member. */
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

/** A map of strings. Built without assignment, so that `__proto__` is an ordinary key. */
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
  // `key:` without a value is an empty string, as for the API server
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
  // the API server compares annotation keys in lower case
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

/** A uid is used in cgroup paths and file names. */
const uid = checked((value) => checkLabelValue(value) ?? (value === "" ? "must not be empty" : undefined));

/** metadata of an object whose name matches `name`'s rules. */
export const metadata = (name: Check) =>
  z.object({
    name: checked(name),
    uid: maybe(uid),
    labels,
    annotations,
    resourceVersion: maybe(plainText.max(128)),
  });

/** metadata of an object in a namespace, by default `default`. */
export const namespaced = (name: Check = checkSubdomain) =>
  metadata(name).extend({
    namespace: checked(checkLabelName)
      .nullish()
      .transform((value) => value || "default"),
  });
