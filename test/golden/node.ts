import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { kinds } from "../../src/api/kinds.ts";
import { systemModules } from "../../src/cli/load.ts";
import { Machine } from "../../src/cli/testing/harness.ts";

import { apiVersion } from "../../src/model/version.ts";
import { REPOSITORY, WEIR } from "../e2e/lab.ts";
import { LoneNode } from "../e2e/lone.ts";
import { type Fields, type Known, normal, stable } from "./normal.ts";
import { type Answer, call, StableProxy } from "./proxy.ts";

/** The commands' clock: leases that they set must not end on any machine. */
const WALL = Date.parse("2099-01-01T00:00:00Z");
/** Time limit for an agent to handle a change, programs included, ms. */
const PATIENCE = 60_000;
export const OWN = "n1";

/** The agent's answers to `GET /v1/…`, by route. */
export type Answers = Readonly<Record<string, Fields>>;

/**
 * A node with one agent, for all outputs that users can read. Objects come from one file, so that a change is one
 * event.
 */
export class GoldenNode {
  readonly lone: LoneNode;
  readonly #objects = new Map<string, Fields>();
  readonly #lines = new Set<string>();
  readonly #builds = new Map<string, string>();
  readonly #known: Known;
  readonly #machine: Machine;
  readonly #proxy: StableProxy;
  readonly #pods = new Set<string>();
  #version = 0;
  #settings: object = {};

  constructor(label: string, addresses: readonly string[]) {
    this.lone = new LoneNode(label, addresses);
    const { folder } = this.lone;
    mkdirSync(join(folder, "netns"));
    this.#known = { folder, builds: this.#builds };
    this.#machine = new Machine(join(folder, "run"));
    this.#proxy = new StableProxy(this.socket, this.#known);
  }

  get socket(): string {
    return this.lone.client.socket;
  }

  /** Copies the examples' programs, which root must own, beside another list. */
  programs(list: object): string {
    const folder = join(this.lone.folder, "programs");
    cpSync(join(REPOSITORY, "examples/programs"), folder, { recursive: true });
    writeFileSync(join(folder, "programs.yaml"), JSON.stringify({ apiVersion, kind: "ProgramList", ...list }));
    return folder;
  }

  /** Adds objects to those that are written next. */
  put(...objects: readonly object[]): void {
    for (const object of objects as Fields[]) {
      this.#lines.add(keyOf(object));
      this.#objects.set(keyOf(object), object);
    }
  }

  drop(...keys: readonly string[]): void {
    for (const key of keys) {
      if (!this.#objects.delete(key)) throw new Error(`drop ${key}: no such object`);
    }
  }

  object(key: string): Fields {
    const found = this.#objects.get(key);
    if (!found) throw new Error(`find ${key}: no such object`);
    return structuredClone(found);
  }

  #write(): void {
    const own = this.#objects.get(`Node/${OWN}`);
    this.#version++;
    if (own) own["metadata"] = { ...(own["metadata"] as Fields), resourceVersion: `${this.#version}` };
    this.lone.writeText("objects", this.#list());
  }

  /** One line for each object that has ever existed: positions in the file do not change when others do. */
  #list(): string {
    const lines = [...this.#lines].map((key) => JSON.stringify(this.#objects.get(key)) ?? "");
    const isFirst = (line: string, index: number): boolean => lines.findIndex(Boolean) === index && line !== "";
    const separated = lines.map((line, index) => (line === "" || isFirst(line, index) ? line : `,${line}`));
    return `{"apiVersion":"v1","kind":"List","items":[\n${separated.join("\n")}\n]}\n`;
  }

  async start(settings: object = {}): Promise<void> {
    this.#settings = settings;
    await this.restart();
    await this.#proxy.listen(join(this.lone.folder, "run", "agent.sock"));
  }

  /** Starts an agent in place of one that has ended. */
  async restart(): Promise<void> {
    this.#write();
    await this.lone.start(this.#settings);
    await this.#settled();
  }

  /** Writes the objects; resolves once a pass has handled them, and no program is being built. */
  async apply(): Promise<void> {
    this.#write();
    await this.#settled();
  }

  async #settled(): Promise<void> {
    const isOwn = this.#objects.has(`Node/${OWN}`);
    const end = performance.now() + PATIENCE;
    for (;;) {
      const { state, reason, observed } = await this.lone.client.status();
      const { resourceVersion } = observed;
      if (state === "ready" && (!isOwn || resourceVersion === `${this.#version}`)) return;
      if (performance.now() > end) throw new Error(`wait for version ${this.#version}: ${resourceVersion}, ${reason}`);
      await sleep(20);
    }
  }

  /** Attaches a pod. Its namespace's path is the same in every run, because devices are named after it. */
  async attach(namespace: string, name: string, uid = `uid-${name}`): Promise<Answer> {
    const label = `${namespace}-${name}`;
    if (!this.#pods.has(label)) {
      this.#pods.add(label);
      symlinkSync(this.lone.add(label), join(this.lone.folder, "netns", label));
    }
    const netns = `/proc/self/cwd/netns/${label}`;
    return this.call("PUT", `/v1/endpoints/${namespace}/${name}`, { uid, netns });
  }

  /** Runs a command in a pod's namespace. */
  inPod(namespace: string, name: string, ...command: string[]): string {
    return this.lone.run(`${namespace}-${name}`, ...command);
  }

  /** A call of the agent; the answer is not normalised. */
  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await call(this.socket, method, path, body === undefined ? undefined : JSON.stringify(body));
    return { ...answer, body: stable(answer.body, this.#known) };
  }

  /** All lists, the topology and the status, normalised. */
  async answers(): Promise<Answers> {
    await this.#nameBuilds();
    const routes = ["status", ...kinds.map(({ name }) => name)];
    const read = routes.map(async (route) => {
      const { status, body } = await call(this.socket, "GET", `/v1/${route}`);
      if (status !== 200) throw new Error(`GET /v1/${route}: ${status} ${body}`);
      return [route, normal(route, JSON.parse(body) as Fields, this.#known)] as const;
    });
    return Object.fromEntries(await Promise.all(read));
  }

  /** Builds are named by the order in which they appear. */
  async #nameBuilds(): Promise<void> {
    for (const { build } of await this.lone.client.list("programs")) {
      if (build === null || this.#builds.has(build)) continue;
      this.#builds.set(build, `build-${`${this.#builds.size + 1}`.padStart(6, "0")}`);
    }
  }

  metrics(): Promise<string> {
    return this.lone.client.metrics();
  }

  /** The output of a command and its exit code, as on a terminal. */
  async run(...argv: string[]): Promise<string> {
    const { code, out, err } = await this.#machine.run(argv, systemModules, {
      cwd: this.lone.folder,
      wall: () => WALL,
    });
    return this.#shown(argv, `${out}${err}${code === 0 ? "" : `exit code ${code}\n`}`);
  }

  /** The same for a process on the node. */
  onNode(...argv: string[]): string {
    return this.#shown(argv, this.lone.run("node", ...WEIR, ...argv));
  }

  #shown(argv: readonly string[], text: string): string {
    return stable(`$ weir ${argv.join(" ")}\n${text}`, this.#known);
  }

  /**
   * The same for a command that may create an object with a generated name: the name is replaced by ONE-OFF, and the
   * object is deleted.
   */
  async oneOff(...argv: string[]): Promise<string> {
    const objects = async () =>
      (await this.lone.client.list("objects")).map((one) => ({ ...one, namespace: one.namespace ?? "" }));
    const before = new Set((await objects()).map(({ name }) => name));
    const text = await this.run(...argv);
    const made = (await objects()).filter(({ name }) => !before.has(name) && name.startsWith("impair-"));
    for (const one of made) await this.lone.client.deleteObject(one);
    return made.reduce((all, { name }) => all.replaceAll(name, "ONE-OFF"), text);
  }

  async close(): Promise<void> {
    await this.#proxy.close();
    await this.lone.close();
  }
}

export function keyOf(object: Fields): string {
  const { kind, metadata } = object as { kind: string; metadata: { namespace?: string; name: string } };
  return [kind, metadata.namespace, metadata.name].filter(Boolean).join("/");
}
