import { connect, createServer, type Server } from "node:net";

/** Bytes of a request, and of its answer. */
export const REQUEST_BYTES = 2048;
const ANSWER = Buffer.alloc(100);
/** Timeout of a request, ms. */
const PATIENCE = 10_000;

/** Answers requests on a port, each on its own connection, until it is stopped. */
export class Answerer {
  readonly #server: Server;

  constructor({ port }: { port: number }) {
    this.#server = createServer((client) => {
      let bytes = 0;
      client.on("error", () => {});
      client.on("data", (data) => {
        bytes += data.length;
        if (bytes >= REQUEST_BYTES) client.end(ANSWER);
      });
    }).listen(port);
  }

  run(signal: AbortSignal): Promise<null> {
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(null)));
  }

  close(): void {
    this.#server.close();
    setImmediate(() => process.exit()); // ends open connections
  }
}

export interface RequestOptions {
  address: string;
  port: number;
  /** ms from one request's start to the next one's, or to its end if that is later. */
  gap: number;
}

/** Sends requests sequentially, each on a new connection. Returns their times from connect to answer, µs. */
export class Requester {
  readonly #options: RequestOptions;

  constructor(options: RequestOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<number[]> {
    const times: number[] = [];
    while (!signal.aborted) {
      const begin = performance.now();
      const answered = await this.#one(signal);
      const took = performance.now() - begin;
      if (!signal.aborted) times.push(1000 * (answered ? took : PATIENCE));
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, this.#options.gap - took)));
    }
    return times;
  }

  #one(signal: AbortSignal): Promise<boolean> {
    const { address: host, port } = this.#options;
    return new Promise((resolve) => {
      const socket = connect({ host, port, noDelay: true });
      const end = (answered: boolean): void => {
        socket.destroy();
        signal.removeEventListener("abort", abort);
        resolve(answered);
      };
      const abort = (): void => end(false);
      signal.addEventListener("abort", abort);
      socket.setTimeout(PATIENCE, () => end(false));
      socket.on("connect", () => socket.write(Buffer.alloc(REQUEST_BYTES)));
      socket.on("data", () => end(true));
      socket.on("error", () => end(false));
    });
  }

  close(): void {}
}
