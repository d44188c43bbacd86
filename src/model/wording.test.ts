import { expect, test } from "vitest";
import * as z from "zod";
import { inWords } from "./wording.ts";

const schema = z.strictObject({
  name: z.string().max(3).optional(),
  port: z.number().int().min(1).max(9).optional(),
  wide: z.bigint().optional(),
  on: z.boolean().optional(),
  list: z.array(z.string()).min(1).optional(),
  way: z.enum(["ingress", "egress"]).optional(),
  below: z.strictObject({ one: z.string().optional(), two: z.string().optional() }).optional(),
});

test.each([
  [{ name: 5 }, '5 is a number, not text; write "5"'],
  [{ name: "long" }, "has 4 characters; write at most 3"],
  [{ name: ["a"] }, "[…] is a list, not text; write text"],
  [{ port: "7" }, '"7" is text, not a number; write 7 without quotes'],
  [{ port: 0 }, "0 is too small; write at least 1"],
  [{ wide: 1 }, "1 is a number, not a whole number; write a number"],
  [{ on: "yes" }, '"yes" is text, not true or false; write true or false'],
  [{ on: 1 }, "1 is a number, not true or false; write true or false"],
  [{ list: "a" }, '"a" is text, not a list; write a list, such as [first, second]'],
  [{ list: [] }, "has 0 members; write at least 1"],
  [{ way: "Egress" }, '"Egress" is not one of ingress, egress; did you mean egress?'],
  [{ way: 1 }, "1 is not one of ingress, egress"],
  [{ below: "x" }, '"x" is text, not a map of fields; write fields of one, two'],
  [{ prot: 1 }, 'no field "prot"; did you mean port?'],
  [{ "\u001b[2J": 1 }, 'no field "\\u001b[2J"; its fields are name, port, wide, on, list, way, below'],
])("%j", (value, said) => {
  const result = schema.safeParse(value, { error: inWords });
  expect(result.error?.issues.map(({ message }) => message)).toEqual([said]);
});
