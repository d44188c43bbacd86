import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Agent, request } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { maybeInNamespace } from "../../src/kernel/index.ts";

/** What a proxy does to calls. Streams that are open when it changes break off, or fall silent, as new calls do. */
export type Fault = "none" | "half-500" | "reset" | "silent";

export interface FaultProxyOptions {
  /** `https://127.0.0.1:PORT`; asked anew at each call. */
  server: string;
  /** PEM. */
  ca: string;
  /** Listens in this network namespace, not in this process's: the way for agents of other namespaces to an API of this one. */
  namespace?: string | undefined;
}

/** Plain HTTP to an API server, with faults in between; tokens go through. */
export class FaultProxy {
  /** Calls that were spoilt. */
  spoilt = 0;
  readonly #options: FaultProxyOptions;
  readonly #server = createServer((incoming, outgoing) => this.#take(incoming, outgoing));
  readonly #sockets = new Set<Socket>();
  readonly #agent: Agent;
  #fault: Fault = "none";
  #count = 0;
  /** Streams opened before this number of changes have gone silent for good, as behind a router that forgot them. */
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
        // A host, even one in digits, is looked up first, and the socket made later, in another namespace.
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
