import * as z from "zod";
import { checkLabelValue, checkQualifiedName } from "../../model/names.ts";
import { checked, labels, listOf } from "./fields.ts";
import * as hints from "./hints.ts";
import { labelKey, labelMap, labelValue, rule, server } from "./server.ts";

const MAX_LABELS = 64;
const MAX_TERMS = 32;
const MAX_VALUES = 64;

const atMost = (most: number) => (list: { length: number }) => list.length <= most;

const term = z
  .object({
    key: checked(checkQualifiedName).meta(labelKey),
    operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]),
    values: listOf(checked(checkLabelValue).meta(labelValue))
      .refine(atMost(MAX_VALUES), `has more than ${MAX_VALUES} values`)
      .meta({ maxItems: MAX_VALUES }),
  })
  .superRefine(({ operator, values }, context) => {
    const needsValues = operator === "In" || operator === "NotIn";
    if (needsValues === values.length > 0) return;
    const message = needsValues ? `${operator} needs values` : `${operator} takes no values`;
    context.addIssue({ code: "custom", path: ["values"], message });
  })
  .meta(
    server(
      "One condition",
      rule(
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
        "In and NotIn need values, Exists and DoesNotExist take none",
      ),
    ),
  );

/** A label selector. */
export const selector = z
  .strictObject(
    {
      matchLabels: labels
        .refine((map) => Object.keys(map).length <= MAX_LABELS, `has more than ${MAX_LABELS} labels`)
        .meta({ ...labelMap, maxProperties: MAX_LABELS }),
      matchExpressions: listOf(term)
        .refine(atMost(MAX_TERMS), `has more than ${MAX_TERMS} conditions`)
        .meta({ maxItems: MAX_TERMS }),
    },
    { error: hints.selector },
  )
  .meta({ description: "Labels that a pod must have; an empty selector selects every pod" });
