import { type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import type { ManifestObject } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { codeOf, LabError, messageOf } from "./errors.ts";
import type { LabNames } from "./names.ts";
import type { Report, Step } from "./progress.ts";
import type { LabStatus } from "./status.ts";

/** What is needed to enter a container. */
export interface Target {
  init: number;
  cgroup: string;
  env: Readonly<Record<string, string>>;
  /** True if its root is an image's, which may lack the machine's programs. */
  ownRoot: boolean;
}

/** Calls to a running lab's supervisor. All reject with LabError, with code `gone` if it does not answer. */
export class LabClient {
  readonly #names: LabNames;
  readonly #signal: AbortSignal | undefined;

  /** @param signal aborts all calls of this client; the lab completes what it has begun */
  constructor(names: LabNames, signal?: AbortSignal) {
    this.#names = names;
    this.#signal = signal;
  }

  status(): Promise<LabStatus> {
    return this.#json("GET", "/v1/lab") as Promise<LabStatus>;
  }

  objects(): Promise<ManifestObject[]> {
    return this.#json("GET", "/v1/objects") as Promise<ManifestObject[]>;
  }

  target(namespace: string, pod: string, container?: string): Promise<Target> {
    const query = new URLSearchParams({ namespace, pod, ...(container === undefined ? {} : { container }) });
    return this.#json("GET", `/v1/target?${query}`) as Promise<Target>;
  }

  /** Resolves when the lab is up, rejects with the reason if it does not start. */
  async progress(report: Report): Promise<void> {
    await this.#stream("GET", "/v1/progress", undefined, report);
  }

  apply(objects: readonly ManifestObject[], report: Report): Promise<{ problems: Problem[] }> {
    return this.#stream("POST", "/v1/apply", { objects }, report) as Promise<{ problems: Problem[] }>;
  }

  /** The problems that objects would have if they were applied. */
  preview(objects: readonly ManifestObject[]): Promise<Problem[]> {
    return this.#json("POST", "/v1/preview", { objects }) as Promise<Problem[]>;
  }

  delete(keys: readonly string[], report: Report): Promise<{ removed: string[]; problems: Problem[] }> {
    return this.#stream("POST", "/v1/delete", { keys }, report) as Promise<{ removed: string[]; problems: Problem[] }>;
  }

  async #json(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await this.#send(method, path, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const value = JSON.parse(Buffer.concat(chunks).toString("utf8")) as { error?: { code: string; message: string } };
    if (response.statusCode !== 200 && value.error !== undefined)
      throw new LabError(value.error.code, value.error.message);
    return value;
  }

  async #stream(method: string, path: string, body: unknown, report: Report): Promise<unknown> {
    const response = await this.#send(method, path, body);
    const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    try {
      for await (const text of lines) {
        const line = JSON.parse(text) as { step?: Step; result?: unknown; error?: { code: string; message: string } };
        if (line.step !== undefined) report(line.step);
        else if (line.error !== undefined) throw new LabError(line.error.code, line.error.message);
        else return line.result;
      }
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (codeOf(error) !== "ECONNRESET") throw error;
    }
    this.#signal?.throwIfAborted();
    throw this.#gone("it ended during the call");
  }

  #send(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.#names.socket, method, path, agent: false, signal: this.#signal };
      const outgoing = request(options, resolve);
      outgoing.on("error", (cause) => reject(this.#gone(messageOf(cause))));
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  #gone(why: string): LabError {
    const { name, log } = this.#names;
    return new LabError(
      "gone",
      `ask lab ${name}: ${why} (its log: ${log}; weir lab down --name ${name} removes what is left)`,
    );
  }
}
