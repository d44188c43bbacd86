import { z } from "zod";
import { checkLabelValue, checkQualifiedName } from "../../model/names.ts";
import { checked, labels, listOf } from "./fields.ts";

const term = z.object({
  key: checked(checkQualifiedName),
  operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]),
  values: listOf(checked(checkLabelValue)),
});

/** A label selector. */
export const selector = z.strictObject({ matchLabels: labels, matchExpressions: listOf(term) });
