import type { Socket } from "node:net";
import swagger from "@fastify/swagger";
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  ResponseSerializationError,
  serializerCompiler,
  validatorCompiler,
} from "fastify-type-provider-zod";
import { version } from "../model/version.ts";
import type { Backend } from "./backend.ts";
import { ApiError } from "./errors.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { routes } from "./routes.ts";

const BODY_LIMIT = 64 * 1024;

/** Replaces fastify's own compilers, so that they are not loaded. Untyped, since fastify's types only allow JSON schemas. */
const compilersFactory: object = {
  buildValidator: () => validatorCompiler,
  buildSerializer: () => serializerCompiler,
};

export interface App {
  app: FastifyInstance;
  metrics: Metrics;
}

/** The REST API over a backend, without a port: listen with `serve()`, test with `app.inject()`. */
export async function buildApp(backend: Backend, metrics: Metrics = createMetrics(backend)): Promise<App> {
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    // longer than any valid name, so that a name that is too long gets an explanation and not 404
    routerOptions: { maxParamLength: 4096 },
    clientErrorHandler: (error, socket) => refuse(error, socket),
    frameworkErrors: (error, _request, reply) => answer(error, reply),
    schemaController: { compilersFactory },
  });
  app.setErrorHandler((error: FastifyError, _request: FastifyRequest, reply) => answer(error, reply));
  app.setNotFoundHandler((request, reply) =>
    answer(
      new ApiError("missing", `${request.method} ${printable(request.url)}: no such route`, {
        hint: "GET /openapi.json lists all",
      }),
      reply,
    ),
  );
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Weir agent", description: "Network functions of one node", version },
      servers: [],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
  await app.register(routes(backend));
  await app.register(async (plain) => {
    plain.get("/openapi.json", { schema: { hide: true } }, (_request, reply) =>
      // as text, since the document has no response schema
      reply.type("application/json").serializer(JSON.stringify).send(referenced(app.swagger())),
    );
    plain.get("/metrics", { schema: { hide: true } }, async (_request, reply) =>
      reply
        .type(metrics.contentType)
        .serializer(String)
        .send(await metrics.text()),
    );
  });
  await app.ready();
  return { app, metrics };
}

/** Answers input that is not HTTP with an error of the same form. */
function refuse(cause: Error, socket: Socket): void {
  if (!socket.writable) return void socket.destroy();
  const body = JSON.stringify(new ApiError("invalid", `read request: ${printable(cause.message)}`));
  const head = ["HTTP/1.1 400 Bad Request", "Content-Type: application/json", `Content-Length: ${body.length}`];
  socket.end(`${[...head, "Connection: close"].join("\r\n")}\r\n\r\n${body}`);
}

function answer(error: unknown, reply: FastifyReply): FastifyReply {
  const known = toApiError(error);
  return reply.code(known.status).type("application/json").serializer(JSON.stringify).send(known.toJSON());
}

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const [first] = error.validation;
    const path = issuePath(first?.instancePath ?? "", first?.params);
    const message = printable(first?.message ?? "invalid");
    return new ApiError("invalid", path ? `read ${path}: ${message}` : `read request: ${message}`, {
      path: path || undefined,
      cause: error,
    });
  }
  if (error instanceof ResponseSerializationError) {
    const [issue] = (error.cause as { issues?: { path: PropertyKey[]; message: string }[] }).issues ?? [];
    const where = issue ? `${issue.path.join(".")}: ${issue.message}` : error.message;
    return new ApiError("internal", `write answer to ${error.method} ${error.url}: ${where}`, { cause: error });
  }
  const { statusCode, message } = error as FastifyError;
  // too large, not JSON, another media type: the caller's errors
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new ApiError("invalid", `read request: ${message}`, { cause: error });
  }
  return new ApiError("internal", error instanceof Error ? error.message : String(error), { cause: error });
}

/** Removes unreferenced schemas from the document: each has an input and an output variant. */
function referenced(document: object): object {
  const { components, ...rest } = document as { components?: { schemas?: Record<string, unknown> } };
  const schemas = components?.schemas ?? {};
  const used: Record<string, unknown> = {};
  const collect = (part: unknown): void => {
    for (const [, name = ""] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (name in used) continue;
      used[name] = schemas[name];
      collect(schemas[name]);
    }
  };
  collect(rest);
  return { ...rest, components: { ...components, schemas: used } };
}

/** Converts `/a/0` to `a.0`. The path of an unknown key ends with the key. */
function issuePath(instancePath: string, params: Readonly<Record<string, unknown>> = {}): string {
  const { keys } = params;
  const unknown = Array.isArray(keys) ? [printable(String(keys[0]))] : [];
  return [...instancePath.split("/").filter(Boolean), ...unknown].join(".");
}

/** Escapes untrusted text, such as a URL or a key, for error messages that are read in terminals. */
function printable(text: string): string {
  return text.slice(0, 200).replace(/[^ -~]/g, (char) =>
    JSON.stringify(char)
      .slice(1, -1)
      .replace(/[^ -~]/g, "?"),
  );
}
