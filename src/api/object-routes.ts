import type { FastifyPluginAsync } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import * as z from "zod";
import type { Backend } from "./backend.ts";
import * as schema from "./schemas.ts";

/** Largest size of a set of manifests, bytes. */
const LARGEST_SET = 4 * 1024 * 1024;

const errors = { "4xx": schema.apiError, "5xx": schema.apiError };

/** The routes that change applied objects. `GET /v1/objects` is a list like all others. */
export function objectRoutes(backend: Backend): FastifyPluginAsync {
  return async (instance) => {
    const app = instance.withTypeProvider<ZodTypeProvider>();
    app.put(
      "/v1/objects",
      {
        bodyLimit: LARGEST_SET,
        schema: {
          summary: "create or change objects, all or none; answers once they are in force",
          querystring: schema.dryRun,
          body: schema.objectSet,
          response: { 200: z.object({ items: z.array(schema.objectChange) }), ...errors },
        },
      },
      async ({ query, body }) => {
        const changes = await backend.putObjects(body.items, { dryRun: query.dryRun === "true" });
        return { items: changes.map((change) => ({ node: backend.node, ...change })) };
      },
    );
    const gone = {
      summary: "delete an applied object; a missing one succeeds",
      response: { 204: z.undefined().describe("gone"), ...errors },
    };
    app.delete(
      "/v1/objects/:kind/:namespace/:name",
      { schema: { ...gone, params: schema.objectParams } },
      async ({ params }, reply) => {
        await backend.deleteObject(params);
        return reply.code(204).send();
      },
    );
    app.delete(
      "/v1/objects/:kind/:name",
      { schema: { ...gone, params: schema.objectParams.omit({ namespace: true }) } },
      async ({ params }, reply) => {
        await backend.deleteObject(params);
        return reply.code(204).send();
      },
    );
  };
}
