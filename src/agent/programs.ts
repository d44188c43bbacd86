import { createHash } from "node:crypto";
import { type FSWatcher, lstatSync, watch } from "node:fs";
import { join } from "node:path";
import type { Builder } from "../datapath/programs/builder.ts";
import type { Source } from "../datapath/programs/compile.ts";
import { readCustomInstance } from "../functions/custom/custom.ts";
import { NO_CATALOG } from "../model/catalog.ts";
import type { Direction } from "../model/directions.ts";
import { memo } from "../model/memo.ts";
import type { Problem } from "../model/problem.ts";
import { resolveMacros } from "../model/program-rules.ts";
import { describeProgram, type ProgramInForce, type ProgramRule } from "../model/programs.ts";
import { bad, good, quote, type Result } from "../model/text.ts";
import { watchFault } from "../sources/manifests/index.ts";
import { LIST, type ProgramFolder, readProgramFolder } from "../sources/programs/catalog.ts";

/** The state of a rule's program. */
export interface ProgramState {
  state: "ready" | "compiling" | "refused";
  /** Build in force at the pod: the rule's own, or the previous one; undefined: none. */
  build: string | undefined;
  /** Name and macros of that build; undefined if it is from before this agent's start. */
  effective: string | undefined;
  reason: string | undefined;
}

export interface Resolution {
  builds: ReadonlyMap<string, readonly ProgramInForce[]>;
  problems: readonly Problem[];
  /** By `stateKey`. */
  states: ReadonlyMap<string, ProgramState>;
  /** Pods with a program that is still being built. */
  pending: ReadonlySet<string>;
}

export const stateKey = (pod: string, direction: Direction): string => `${pod} ${direction}`;

export interface ProgramsOptions {
  /** The administrator's folder. */
  folder: string | undefined;
  builder: Builder;
  /** Names of the instances whose programs the kernel has. */
  held: readonly string[];
  /** Called when another pass may have another result. */
  onChange: () => void;
  now?: () => number;
}

type Folder = Pick<ProgramFolder, "catalog" | "source">;
interface Looked {
  source: Source;
  /** Identifies source and macros in one string. */
  key: string;
}
const NO_FOLDER: Folder = { catalog: NO_CATALOG, source: () => bad("there is no folder") };

type Build = { state: "ready"; name: string } | { state: "refused"; reason: string; retryAt?: number };

/** Delay before a build is retried that failed for lack of a sandbox or compiler, ms. */
const RETRY = 30_000;
const MOST_BUILDS = 256;
/** The most new programs in one pass: loading one blocks the event loop for about 10 ms. */
const MOST_NEW = 16;

/**
 * Resolves rules to users' programs: looks them up in the administrator's folder, builds them one at a time, and tells
 * which are in force.
 */
export class Programs {
  readonly #options: ProgramsOptions;
  readonly #now: () => number;
  readonly #builds = new Map<string, Build>();
  readonly #described = new Map<string, string>();
  /** Build in force by port and direction. */
  readonly #held = new Map<string, string>();
  #work: Promise<void> | undefined;
  /** New programs in the pass that is being resolved. */
  #fresh = 0;
  #folder: { signature: string; read: ProgramFolder } | undefined;
  #watcher: FSWatcher | undefined;
  /** Why changes of the folder are not noticed at once. */
  #unwatched: string | undefined;

  constructor(options: ProgramsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    for (const name of options.held) {
      const instance = readCustomInstance(name);
      if (instance) this.#held.set(stateKey(instance.port, instance.direction), instance.build);
    }
  }

  /** Resolves when no build is running. */
  get idle(): Promise<void> {
    return this.#work ?? Promise.resolve();
  }

  close(): void {
    this.#watcher?.close();
  }

  /**
   * Returns the programs in force at this node's pods, and problems of their rules. Starts a build if one is needed.
   */
  resolve(
    rulesByPod: Iterable<readonly [pod: string, rules: readonly ProgramRule[]]>,
    portOf: (pod: string) => string | undefined,
  ): Resolution {
    const wanted = new Map<string, Source>();
    this.#fresh = 0;
    const folder = this.#read();
    const standing = [...rulesByPod].flatMap(([pod, rules]) =>
      rules.map((rule) => ({ pod, rule, stands: this.#stand(rule, portOf(pod), folder, wanted) })),
    );
    const acting = standing.flatMap(({ pod, rule: { direction }, stands: { build } }) =>
      build !== undefined && portOf(pod) !== undefined ? [{ pod, direction, build }] : [],
    );
    this.#held.clear();
    for (const { pod, direction, build } of acting) this.#held.set(stateKey(portOf(pod) ?? "", direction), build);
    this.#start(wanted);
    if (this.#fresh > MOST_NEW) setImmediate(this.#options.onChange);
    return {
      builds: byPod(acting),
      problems: [
        ...this.#folderProblems(folder),
        ...standing.flatMap(({ rule, stands }) => (stands.state === "refused" ? [problemOf(rule, stands)] : [])),
      ],
      states: new Map(standing.map(({ pod, rule, stands }) => [stateKey(pod, rule.direction), stands])),
      pending: new Set(standing.flatMap(({ pod, stands }) => (stands.state === "compiling" ? [pod] : []))),
    };
  }

  #stand(rule: ProgramRule, port: string | undefined, folder: Folder, wanted: Map<string, Source>): ProgramState {
    const before = port === undefined ? undefined : this.#held.get(stateKey(port, rule.direction));
    const stays = { build: before, effective: before === undefined ? undefined : this.#described.get(before) };
    const looked = lookUp(rule, folder);
    if (!looked.ok) return { state: "refused", ...stays, reason: looked.reason };
    const { source, key } = looked.value;
    const build = this.#builds.get(key);
    if (build?.state === "ready") {
      if (port !== undefined && build.name !== before && this.#fresh++ >= MOST_NEW) {
        return { state: "compiling", ...stays, reason: "it is its turn in the next pass" };
      }
      const effective = describeProgram({ program: rule.program, macros: source.macros });
      this.#described.set(build.name, effective);
      return { state: "ready", build: build.name, effective, reason: undefined };
    }
    const isOver = build?.retryAt !== undefined && build.retryAt <= this.#now();
    if (build && !isOver) return { state: "refused", ...stays, reason: build.reason };
    wanted.set(key, source);
    return { state: "compiling", ...stays, reason: "it is being compiled" };
  }

  /** Problems of the whole list, so that an administrator sees a mistake before a pod uses the program. */
  #folderProblems({ catalog: { programs, refused, reason }, source }: Folder): Problem[] {
    const { folder } = this.#options;
    if (folder === undefined) return [];
    const unread = [...programs.values()].flatMap(({ name, file }) => {
      const text = source(file);
      return text.ok ? [] : [`${name}: ${text.reason}`];
    });
    const late = this.#unwatched === undefined ? [] : [`watch: ${this.#unwatched}; changes are found within a minute`];
    const reasons = [...(reason === undefined ? [...refused.values(), ...unread] : [reason]), ...late];
    return reasons.map((message) => ({ object: join(folder, LIST), message }));
  }

  /** The folder's present content; only read again if a file has changed. */
  #read(): Folder {
    const { folder } = this.#options;
    if (folder === undefined) return NO_FOLDER;
    const files = this.#folder ? [...this.#folder.read.catalog.programs.values()].map(({ file }) => file) : [];
    const signature = signatureOf(folder, files);
    if (this.#folder?.signature === signature) {
      if (this.#unwatched !== undefined) this.#watch(folder);
      return this.#folder.read;
    }
    const read = readProgramFolder(folder);
    const named = [...read.catalog.programs.values()].map(({ file }) => file);
    // The signature from before reading is kept, so that a change during the read is noticed. If the set of files
    // changed, it is incomplete and dropped, so that the folder is read once more.
    this.#folder = { signature: named.join() === files.join() ? signature : "", read };
    this.#watch(folder);
    return read;
  }

  #watch(folder: string): void {
    this.#watcher?.close();
    try {
      this.#watcher = watch(folder, { persistent: false }, this.#options.onChange);
      this.#watcher.on("error", () => {}); // the folder is gone; the next regular look-up finds out
      this.#unwatched = undefined;
    } catch (error) {
      this.#watcher = undefined;
      this.#unwatched = watchFault(error);
    }
  }

  /** Starts one build. Further ones are started by the pass that follows it. */
  #start(wanted: ReadonlyMap<string, Source>): void {
    const [next] = wanted;
    if (this.#work || !next) return;
    const [key, source] = next;
    this.#work = this.#build(key, source).finally(() => {
      this.#work = undefined;
      this.#options.onChange();
    });
  }

  async #build(key: string, source: Source): Promise<void> {
    const { builder } = this.#options;
    try {
      const name = await builder.name(source);
      const built = await builder.build(source, name);
      this.#builds.set(key, built.ok ? { state: "ready", name } : { state: "refused", reason: built.reason });
      this.#forget();
    } catch (error) {
      const retryAt = this.#now() + RETRY;
      this.#builds.set(key, {
        state: "refused",
        reason: `cannot be compiled here: ${(error as Error).message}`,
        retryAt,
      });
    }
  }

  /** Forgets the oldest builds, so that rules that keep changing do not use memory without bound. */
  #forget(): void {
    for (const [key] of this.#builds) {
      if (this.#builds.size <= MOST_BUILDS) break;
      this.#builds.delete(key);
    }
    const acting = new Set(this.#held.values());
    for (const [build] of this.#described) if (!acting.has(build)) this.#described.delete(build);
    const made = [...this.#builds.values()].flatMap((one) => (one.state === "ready" ? [one.name] : []));
    this.#options.builder.prune(new Set([...acting, ...made]));
  }
}

/** The source and macros of a rule. Memoized by rule and folder. */
const lookUp = memo(({ program, direction, macros }: ProgramRule, { catalog, source }: Folder): Result<Looked> => {
  if (catalog.reason !== undefined) return bad(catalog.reason);
  const refused = catalog.refused.get(program);
  if (refused !== undefined) return bad(refused);
  const listed = catalog.programs.get(program);
  if (!listed) {
    const names = [...catalog.programs.keys()].slice(0, 8).join(", ");
    return bad(`${quote(program)} is not in the administrator's list${names ? `, which has ${names}` : ""}`);
  }
  if (!listed.directions.includes(direction)) return bad(`${program} is for ${listed.directions.join()} alone`);
  const resolved = resolveMacros(listed.macros, macros);
  if (!resolved.ok) return bad(`${program}: ${resolved.reason}`);
  const text = source(listed.file);
  if (!text.ok) return bad(`${program}: ${text.reason}`);
  const found = { file: listed.file, text: text.value, direction, macros: resolved.value };
  return good({ source: found, key: keyOf(found) });
});

function byPod(acting: readonly (ProgramInForce & { pod: string })[]): Map<string, ProgramInForce[]> {
  const builds = new Map<string, ProgramInForce[]>();
  for (const { pod, ...one } of acting) builds.set(pod, [...(builds.get(pod) ?? []), one]);
  return builds;
}

function problemOf({ object, path, configured }: ProgramRule, { reason, build, effective }: ProgramState): Problem {
  const stays =
    build === undefined ? "traffic passes as without it" : `the program before stays: ${effective ?? `build ${build}`}`;
  return { object, path, message: `${quote(configured)} is not in force: ${reason}; ${stays}` };
}

function keyOf({ text, direction, macros }: Source): string {
  return createHash("sha256")
    .update(JSON.stringify([direction, macros]))
    .update(text)
    .digest("hex");
}

/** Changes when a file in the folder does. */
function signatureOf(folder: string, files: readonly string[]): string {
  return [folder, ...[LIST, ...files].map((file) => join(folder, file))].map(identityOf).join();
}

function identityOf(path: string): string {
  try {
    const { ino, ctimeNs, size, mode, uid } = lstatSync(path, { bigint: true });
    return `${ino} ${ctimeNs} ${size} ${mode} ${uid}`;
  } catch {
    return "-";
  }
}
