import { createServer, request, type Server, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { listenUnix } from "../../src/api/socket.ts";
import { type Fields, type Known, normal } from "./normal.ts";

export interface Answer {
  status: number;
  body: string;
}

/** One call of the agent at `socketPath`. */
export function call(socketPath: string, method: string, path: string, body?: string): Promise<Answer> {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, headers, agent: false }, (incoming) => {
      buffer(incoming).then((read) => resolve({ status: incoming.statusCode ?? 0, body: read.toString() }), reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** A proxy of an agent that normalises its answers, so that the command line shows stable values. */
export class StableProxy {
  readonly #agent: string;
  readonly #known: Known;
  readonly #server: Server;

  constructor(agent: string, known: Known) {
    this.#agent = agent;
    this.#known = known;
    this.#server = createServer(async (incoming, reply) => {
      const text = (await buffer(incoming)).toString();
      const { method = "GET", url = "/" } = incoming;
      await this.#answer(method, url, text === "" ? undefined : text, reply);
    });
  }

  listen(socket: string): Promise<void> {
    return listenUnix(this.#server, socket);
  }

  async #answer(method: string, path: string, body: string | undefined, reply: ServerResponse): Promise<void> {
    try {
      const answer = await call(this.#agent, method, path, body);
      const [, route = ""] = /^\/v1\/([a-z]+)$/.exec(path) ?? [];
      const isPlain = method === "GET" && route !== "" && answer.status === 200;
      const shown = isPlain
        ? JSON.stringify(normal(route, JSON.parse(answer.body) as Fields, this.#known))
        : answer.body;
      reply.writeHead(answer.status, { "content-type": "application/json" }).end(shown);
    } catch (error) {
      reply.destroy(error as Error);
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
