import type { FastifyInstance, FastifyPluginAsync } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import * as z from "zod";
import type { Backend } from "./backend.ts";
import { ApiError } from "./errors.ts";
import { kinds, type ListName } from "./kinds.ts";
import { objectRoutes } from "./object-routes.ts";
import * as schema from "./schemas.ts";
import { topology, topologyDocument } from "./topology.ts";

/** The routes under /v1. Each consists of its schemas and a call of the backend. */
export function routes(backend: Backend): FastifyPluginAsync {
  return async (instance) => {
    const app = instance.withTypeProvider<ZodTypeProvider>();
    const { node } = backend;

    app.get(
      "/v1/status",
      { schema: { summary: "state of the agent", response: { 200: schema.status, ...errors } } },
      async () => ({ node, ...(await backend.status()) }),
    );
    app.get(
      "/v1/doctor",
      { schema: { summary: "what this machine can and cannot do", response: { 200: schema.doctor, ...errors } } },
      () => backend.doctor(),
    );
    app.get(
      "/v1/topology",
      { schema: { summary: summary("topology"), response: { 200: topology, ...errors } } },
      async () => topologyDocument(node, await backend.topology()),
    );

    list(app, node, "pods", () => backend.pods());
    list(app, node, "limits", () => backend.limits());
    list(app, node, "impairments", () => backend.impairments());
    list(app, node, "programs", () => backend.programs());
    list(app, node, "ports", async () => owned(backend, await backend.ports(), ({ name }) => name));
    list(app, node, "chains", async () => owned(backend, await backend.chains(), ({ port }) => port));
    list(app, node, "drops", async () => owned(backend, await backend.drops(), ({ port }) => port));
    list(app, node, "objects", () => backend.objects());
    list(app, node, "problems", () => backend.problems());
    list(app, node, "endpoints", () => backend.endpoints());
    await app.register(objectRoutes(backend));

    const path = "/v1/endpoints/:namespace/:name";
    const params = schema.endpointParams;
    app.get(
      path,
      { schema: { summary: "one endpoint", params, response: { 200: schema.endpoint, ...errors } } },
      async ({ params: { namespace, name } }) => {
        const found = (await backend.endpoints()).find((e) => e.namespace === namespace && e.name === name);
        if (!found) throw new ApiError("missing", `get endpoint ${namespace}/${name}: not on node ${node}`);
        return { node, ...found };
      },
    );
    app.put(
      path,
      {
        schema: {
          summary: "attach a pod; answers once its network is in force",
          params,
          body: schema.endpointSpec,
          response: { 200: schema.endpoint, 201: schema.endpoint, ...errors },
        },
      },
      async ({ params: { namespace, name }, body }, reply) => {
        const { endpoint, created } = await backend.putEndpoint(namespace, name, body);
        return reply.code(created ? 201 : 200).send({ node, ...endpoint });
      },
    );
    app.delete(
      path,
      {
        schema: {
          summary: "detach a pod; succeeds if it is missing; the query selects one of several sandboxes",
          params,
          querystring: schema.endpointWhich,
          response: { 204: z.undefined().describe("gone"), ...errors },
        },
      },
      async ({ params: { namespace, name }, query }, reply) => {
        await backend.deleteEndpoint(namespace, name, query);
        return reply.code(204).send();
      },
    );
  };
}

const errors = { "4xx": schema.apiError, "5xx": schema.apiError };

function summary(name: string): string {
  return kinds.find((kind) => kind.name === name)?.summary ?? name;
}

function list<K extends ListName>(
  app: FastifyInstance,
  node: string,
  name: K,
  read: () => Promise<readonly Omit<schema.Items[K], "node">[]>,
): void {
  const response = { 200: z.object({ items: z.array(schema.items[name] as z.ZodType) }), ...errors };
  app.get(`/v1/${name}`, { schema: { summary: summary(name), response } }, async () => ({
    items: (await read()).map((item) => ({ node, ...item })),
  }));
}

/** Adds to each item the pod of its port. */
async function owned<T>(backend: Backend, items: readonly T[], portOf: (item: T) => string) {
  const pods = await backend.owners();
  return items.map((item) => ({ owner: pods.get(portOf(item).replace(/^.*:/, "")) ?? null, ...item }));
}
