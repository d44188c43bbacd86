import * as z from "zod";

/** JSON Schema of what may be written. */
export const jsonSchemaOf = (schema: z.ZodType): object => z.toJSONSchema(schema, { io: "input" });
