import { chmodSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { ManifestObject } from "../model/objects.ts";
import { codeOf, messageOf } from "./errors.ts";
import type { Lab } from "./lab.ts";
import type { Report, Step } from "./progress.ts";

/** Progress of the lab's start. Late listeners get it from the beginning. */
export class UpProgress {
  readonly #steps: Step[] = [];
  readonly #listeners = new Set<Report>();
  readonly done: Promise<void>;

  constructor(up: (report: Report) => Promise<void>) {
    this.done = up((step) => {
      this.#steps.push(step);
      for (const listener of this.#listeners) listener(step);
    });
    this.done.catch(() => {}); // The failure is reported to each listener.
  }

  async follow(report: Report): Promise<void> {
    for (const step of this.#steps) report(step);
    this.#listeners.add(report);
    try {
      await this.done;
    } finally {
      this.#listeners.delete(report);
    }
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void> | void;

/**
 * Listens on the lab's unix socket, which only root may open. Long answers are lines of JSON: `{step}` …, then
 * `{result}` or `{error}`.
 */
export async function serveLab(socket: string, lab: Lab, up: UpProgress): Promise<Server> {
  const routes: Readonly<Record<string, Handler>> = {
    "GET /v1/lab": (_, response) => answer(response, 200, lab.status),
    "GET /v1/objects": (_, response) => answer(response, 200, lab.objects),
    "GET /v1/progress": (_, response) => stream(response, (report) => up.follow(report)),
    "GET /v1/target": (_, response, url) => {
      const query = (name: string): string | undefined => url.searchParams.get(name) ?? undefined;
      answer(response, 200, lab.target(query("namespace") ?? "default", query("pod") ?? "", query("container")));
    },
    "POST /v1/apply": async (request, response) => {
      const { objects } = (await body(request)) as { objects: ManifestObject[] };
      await stream(response, (report) => lab.apply(objects, report).then((problems) => ({ problems })));
    },
    "POST /v1/preview": async (request, response) => {
      const { objects } = (await body(request)) as { objects: ManifestObject[] };
      answer(response, 200, lab.preview(objects));
    },
    "POST /v1/delete": async (request, response) => {
      const { keys } = (await body(request)) as { keys: string[] };
      await stream(response, (report) => lab.delete(keys, report));
    },
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://lab");
    const handler = routes[`${request.method} ${url.pathname}`];
    if (handler === undefined)
      return answer(response, 404, { error: { code: "no-route", message: `no ${url.pathname}` } });
    Promise.resolve()
      .then(() => handler(request, response, url))
      .catch((error) => fail(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    const umask = process.umask(0o177); // The socket must never be open to other users, not even before a chmod.
    server.listen(socket, resolve);
    process.umask(umask);
  });
  chmodSync(socket, 0o600);
  return server;
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function errorBody(error: unknown): { error: { code: string; message: string } } {
  return { error: { code: codeOf(error) ?? "internal", message: messageOf(error) } };
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.end();
  else answer(response, 422, errorBody(error));
}

async function stream(response: ServerResponse, task: (report: Report) => Promise<unknown>): Promise<void> {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const write = (value: unknown): void => void response.write(`${JSON.stringify(value)}\n`);
  try {
    const result = (await task((step) => write({ step }))) ?? {};
    write({ result });
  } catch (error) {
    write(errorBody(error));
  }
  response.end();
}

const MAX_BODY = 64 << 20;

async function body(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY) throw new Error("body too large");
    chunks.push(chunk as Buffer);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}
