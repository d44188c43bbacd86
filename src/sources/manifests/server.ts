/**
 * The API server's checks of a field: OpenAPI and CEL (Kubernetes 1.31 and newer). Schemas have them as metadata beside
 * the agent's own check; crds.ts generates custom resources from both. Maximum lengths bound the cost of checks.
 */

/** A CEL rule. @param field the field that a refusal names, relative to the value, such as `.jitter` */
export function rule(expression: string, message: string, field?: string) {
  return { rule: expression, message, ...(field !== undefined && { fieldPath: field, reason: "FieldValueInvalid" }) };
}

/** Rules and a description, as metadata of a schema. */
export function server(description: string, ...rules: ReturnType<typeof rule>[]) {
  return { description, ...(rules.length > 0 && { "x-kubernetes-validations": rules }) };
}

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const NAME_PART = "[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?";

/** Name of a Service or a namespace. */
export const labelName = { maxLength: 63, pattern: `^${LABEL}$` };
/** Name of a pod. */
export const subdomain = { maxLength: 253, pattern: `^${LABEL}(\\.${LABEL})*$` };
export const labelKey = { maxLength: 317, pattern: `^(${LABEL}(\\.${LABEL})*/)?${NAME_PART}$` };
export const labelValue = { maxLength: 63, pattern: `^(${NAME_PART})?$` };
export const labelMap = { type: "object", additionalProperties: { type: "string", ...labelValue } };

/** 0% to 100%, up to six decimals. */
const PERCENTAGE = "^(0?\\d{1,2}(\\.\\d{1,6})?|100(\\.0{1,6})?)%$";
export const percentage = {
  maxLength: 11,
  pattern: PERCENTAGE,
  "x-kubernetes-validations": [rule(`self.matches(r'${PERCENTAGE}')`, "must be 0% to 100%, such as 2%")],
};

/** A quantity within the rate bounds, bit/s; rounded up to whole bits. */
export const bitRate = (least: number, most: number) => ({
  maxLength: 64,
  pattern: "^\\+?(\\d+\\.?\\d*|\\.\\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\\d{1,3})?$",
  "x-kubernetes-validations": [
    rule(
      `isQuantity(self) && quantity(self).isGreaterThan(quantity('${least - 1}')) && !quantity(self).isGreaterThan(quantity('${most}'))`,
      `must be ${least / 1000}k to ${most / 1e12}T, in bits a second`,
    ),
  ],
});

const DURATION = "^(\\d{1,9}(\\.\\d{1,9})?(us|µs|ms|s|m|h))+$";
/** A duration within bounds, for CEL. */
export const timeSpan = (least: string, most: string) => ({
  maxLength: 64,
  pattern: DURATION,
  "x-kubernetes-validations": [
    rule(
      `self.matches(r'${DURATION}') && duration(self) >= duration('${least}') && duration(self) <= duration('${most}')`,
      `must be ${least} to ${most}, a number and a unit such as ms or s`,
    ),
  ],
});

/** A network without host bits. */
export const network = {
  maxLength: 49,
  "x-kubernetes-validations": [
    rule("isCIDR(self) && cidr(self).masked() == cidr(self)", "must be a network such as 10.0.0.0/8 or fd00::/64"),
  ],
};

/** Requires exactly one of these fields. */
export const exactlyOne = (names: readonly string[]) =>
  rule(
    `[${names.map((name) => `has(self.${name})`).join(", ")}].filter(x, x).size() == 1`,
    `needs one of ${names.join(", ")}, and only one`,
  );
/** Requires at least one of these fields. In OpenAPI, since CEL cannot see a field that may be text or an object. */
export const atLeastOne = (names: readonly string[]) => ({ anyOf: names.map((name) => ({ required: [name] })) });
