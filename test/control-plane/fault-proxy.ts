import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Agent, request } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { maybeInNamespace } from "../../src/kernel/index.ts";

/** What a proxy does to calls. When it changes, open streams are broken or fall silent like new calls. */
export type Fault = "none" | "half-500" | "reset" | "silent";

export interface FaultProxyOptions {
  /** `https://127.0.0.1:PORT`; read anew for each call. */
  server: string;
  /** PEM. */
  ca: string;
  /**
   * Listens in this network namespace, not in this process's, so that agents in other namespaces reach an API in this
   * one.
   */
  namespace?: string | undefined;
}

/** A plain HTTP proxy of an API server that can inject faults; tokens are passed on. */
export class FaultProxy {
  /** Number of calls with a fault. */
  spoilt = 0;
  readonly #options: FaultProxyOptions;
  readonly #server = createServer((incoming, outgoing) => this.#take(incoming, outgoing));
  readonly #sockets = new Set<Socket>();
  readonly #agent: Agent;
  #fault: Fault = "none";
  #count = 0;
  /** Streams opened before this number of changes are silent for good, as behind a router that dropped their state. */
  #age = 0;

  private constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, ca: options.ca });
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    await new Promise<void>((done) => {
      maybeInNamespace(options.namespace, () => {
        // Node.js resolves a host, even an address, asynchronously, and would create the socket later, in another
        // namespace.
        if (options.namespace === undefined) proxy.#server.listen(0, "127.0.0.1", done);
        else proxy.#server.listen(0, done);
      });
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get fault(): Fault {
    return this.#fault;
  }

  set fault(fault: Fault) {
    this.#fault = fault;
    if (fault === "silent") this.#age += 1;
    if (fault === "reset") for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #take(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.#count += 1;
    const spoil = this.#fault === "half-500" ? this.#count % 2 === 0 : this.#fault !== "none";
    if (!spoil) {
      this.#forward(incoming, outgoing);
      return;
    }
    this.spoilt += 1;
    incoming.resume();
    if (this.#fault === "half-500") outgoing.writeHead(500, { "content-type": "text/plain" }).end("spoilt by a test");
    if (this.#fault === "reset") incoming.socket.resetAndDestroy();
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const age = this.#age;
    const target = new URL(incoming.url ?? "/", this.#options.server);
    const { host: _, connection: __, ...headers } = incoming.headers;
    const call = request(target, { method: incoming.method, headers, agent: this.#agent }, (answer) => {
      const { connection: ___, "transfer-encoding": ____, ...kept } = answer.headers;
      outgoing.writeHead(answer.statusCode ?? 502, kept);
      outgoing.flushHeaders();
      answer.on("data", (chunk) => {
        if (age === this.#age) outgoing.write(chunk);
      });
      answer.on("end", () => {
        if (age === this.#age) outgoing.end();
      });
      answer.on("error", () => outgoing.destroy());
      answer.on("aborted", () => {
        if (age === this.#age) outgoing.destroy();
      });
    });
    call.on("error", () => outgoing.destroy());
    outgoing.on("close", () => call.destroy());
    incoming.pipe(call);
  }
}
