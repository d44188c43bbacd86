import * as z from "zod";
import { checkConfigKey, checkSubdomain } from "../../model/names.ts";
import type { EnvFrom, EnvSource, EnvVar } from "../../model/objects.ts";
import { parseQuantity } from "../../model/quantity.ts";
import { checked, maybe, plainText } from "./fields.ts";

/** Where a container's variables come from. */

const envName = plainText.min(1).regex(/^[\x20-\x3c\x3e-\x7e]+$/, 'must be printable ASCII without "="');
const optional = maybe(z.boolean());
const object = z.object({ name: checked(checkSubdomain), optional });
const keyRef = object.extend({ key: checked(checkConfigKey) });

const FIELDS =
  /^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['[^']+'\]|spec\.(nodeName|serviceAccountName)|status\.(podIP|podIPs|hostIP|hostIPs))$/;
const fieldRef = z.object({ fieldPath: z.string().regex(FIELDS, "is not a field that a variable can be taken from") });

const quantity = checked((text) => {
  const parsed = parseQuantity(text);
  if (!parsed.ok) return parsed.reason;
  return parsed.value.numerator < 0n ? "must not be negative" : undefined;
});
const amount = z.union([z.number().nonnegative().transform(String), quantity]);
const RESOURCES = /^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-\w+)$/;
const resourceFieldRef = z.object({
  containerName: maybe(plainText),
  resource: z.string().regex(RESOURCES, "is not a resource that a variable can be taken from"),
  divisor: maybe(amount),
});

const amounts = maybe(z.record(z.string(), amount));
/** Resource requests and limits. They are only used for variables. */
export const resources = z.object({ limits: amounts, requests: amounts });

const SOURCES = ["configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef"] as const;
const valueFrom = z
  .object({
    configMapKeyRef: maybe(keyRef),
    secretKeyRef: maybe(keyRef),
    fieldRef: maybe(fieldRef),
    resourceFieldRef: maybe(resourceFieldRef),
    fileKeyRef: maybe(z.looseObject({})),
  })
  .transform((raw, context): EnvSource => {
    const given = SOURCES.filter((name) => raw[name] !== undefined);
    if (given.length !== 1) context.addIssue({ code: "custom", message: wrongCount(given, SOURCES) });
    if (raw.configMapKeyRef) return { kind: "ConfigMap", ...required(raw.configMapKeyRef) };
    if (raw.secretKeyRef) return { kind: "Secret", ...required(raw.secretKeyRef) };
    if (raw.fieldRef) return { field: raw.fieldRef.fieldPath };
    if (!raw.resourceFieldRef) return { other: "fileKeyRef" };
    const { containerName, resource, divisor } = raw.resourceFieldRef;
    return { ...(containerName && { container: containerName }), resource, divisor: divisor ?? "1" };
  });

const required = <T extends { optional?: boolean | undefined }>(ref: T): T & { optional: boolean } => ({
  ...ref,
  optional: ref.optional ?? false,
});

function wrongCount(given: readonly string[], names: readonly string[]): string {
  return given.length === 0 ? `needs one of ${names.join(", ")}` : `has ${given.join(" and ")}; write one of them`;
}

export const envVar = z
  .object({ name: envName, value: maybe(plainText), valueFrom: maybe(valueFrom) })
  .transform(({ name, value = "", valueFrom: from }, context): EnvVar => {
    if (value !== "" && from)
      context.addIssue({ code: "custom", message: "has value and valueFrom; write one of them" });
    return from ? { name, value: "", from } : { name, value };
  });

export const envFrom = z
  .object({
    prefix: maybe(z.union([z.literal(""), envName])),
    configMapRef: maybe(object),
    secretRef: maybe(object),
  })
  .transform(({ prefix = "", configMapRef, secretRef }, context): EnvFrom => {
    const given = [configMapRef && "configMapRef", secretRef && "secretRef"].filter((name) => name !== undefined);
    if (given.length !== 1) {
      context.addIssue({ code: "custom", message: wrongCount(given, ["configMapRef", "secretRef"]) });
    }
    const ref = required(configMapRef ?? secretRef ?? { name: "", optional: false });
    return { kind: configMapRef ? "ConfigMap" : "Secret", ...ref, prefix };
  });
