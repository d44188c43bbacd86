import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiServer, serve } from "../../api/serve.ts";
import { MemoryBackend, type MemoryState } from "../../api/testing/memory.ts";
import type { Io } from "../io.ts";
import type { Modules } from "../modules.ts";
import { run } from "../program.ts";

/** Result of a command line. */
export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** A test machine: in-memory agents on real sockets, and the command line, in one process. */
export class Machine {
  readonly runDir: string;
  readonly #servers: ApiServer[] = [];

  constructor(runDir: string) {
    this.runDir = runDir;
  }

  static async create(): Promise<Machine> {
    return new Machine(await mkdtemp(join(tmpdir(), "weir-t")));
  }

  /** Starts an agent of the machine or of a lab. */
  async agent(node: string, state: Partial<MemoryState> = {}, lab?: string): Promise<MemoryBackend> {
    const backend = new MemoryBackend(node, state);
    await this.serve(backend, lab);
    return backend;
  }

  async serve(backend: MemoryBackend, lab?: string): Promise<void> {
    const folder = lab === undefined ? [] : ["labs", lab, "nodes", backend.node];
    this.#servers.push(await serve({ backend, socket: join(this.runDir, ...folder, "agent.sock") }));
  }

  async run(argv: readonly string[], modules: Partial<Modules> = {}, overrides: Partial<Io> = {}): Promise<Ran> {
    const out: string[] = [];
    const err: string[] = [];
    let clock = 0;
    const io: Io = {
      stdout: { write: (text) => out.push(text) },
      stderr: { write: (text) => err.push(text) },
      stdin: { async *[Symbol.asyncIterator]() {} },
      env: {},
      cwd: "/work-dir",
      runDir: this.runDir,
      signal: new AbortController().signal,
      now: () => clock,
      wall: () => Date.parse("2026-01-02T03:04:05Z") + clock,
      sleep: async (ms) => {
        clock += ms;
      },
      ...overrides,
    };
    const code = await run(argv, io, modules);
    // temporary folders differ from run to run
    const tidy = (texts: readonly string[]): string => texts.join("").replaceAll(this.runDir, "/run/weir");
    return { code, out: tidy(out), err: tidy(err) };
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
    await rm(this.runDir, { recursive: true });
  }
}
