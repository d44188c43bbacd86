import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  inspectDefinitions,
  KernelError,
  linkObjects,
  loadObject,
  possibleCpus,
  VerifierError,
} from "../../kernel/index.ts";
import { bad, good, type Result } from "../../model/text.ts";
import { checkMaps, checkObject, ENTRY } from "./check.ts";
import { buildName, Compiler, type Source } from "./compile.ts";
import type { Elf } from "./elf.ts";
import { lineOfInstruction } from "./lines.ts";
import { Sandbox } from "./sandbox.ts";
import { readRefusal } from "./verifier.ts";

export interface BuilderOptions {
  /** The wrapper's object: `custom.bpf.o`. */
  wrapper: string;
  /** Folder for linked objects; made when there is one. */
  cache: string;
  /** bpffs folder of the panel's maps, which a linked program shares. */
  maps: string;
}

const SUFFIX = ".bpf.o";
/** Linked objects that are kept although no rule needs them: an author may go back to what was. */
const SPARE = 64;

/**
 * Makes linked programs of users' sources: compiled in a sandbox, judged, linked into the wrapper and shown to the
 * verifier. What it makes is kept by name, so that it is made once.
 */
export class Builder {
  readonly #options: BuilderOptions;
  readonly #wrapper: Buffer;
  readonly #own: ReadonlySet<string>;
  #compiler: Compiler | undefined;
  #version: string | undefined;

  constructor(options: BuilderOptions) {
    this.#options = options;
    this.#wrapper = readFileSync(options.wrapper);
    this.#own = new Set(inspectDefinitions(options.wrapper).maps.map(({ name }) => name));
  }

  /** Names a build without making it. Throws if there is no compiler, or no sandbox. */
  async name(source: Source): Promise<string> {
    this.#version ??= await this.#clang.version();
    return buildName(source, this.#wrapper, this.#version);
  }

  /** Made when it is first needed: a node without programs needs no compiler. */
  get #clang(): Compiler {
    if (this.#compiler) return this.#compiler;
    mkdirSync(this.#options.cache, { recursive: true, mode: 0o700 });
    Sandbox.sweep(this.#options.cache);
    this.#compiler = new Compiler(this.#options.cache);
    return this.#compiler;
  }

  /** The linked object of a build. */
  path(build: string): string {
    return join(this.#options.cache, `${build}${SUFFIX}`);
  }

  /** Makes a program, or takes it from the cache. The reason says who refuses it and why. */
  async build(source: Source, name: string): Promise<Result<string>> {
    const path = this.path(name);
    if (existsSync(path)) return good(path);
    const compiled = await this.#clang.compile(source);
    if (!compiled.ok) return bad(`does not compile: ${compiled.reason}`);
    return this.#link(compiled.value, path, source.file);
  }

  /** Judges, links and tries a compiled program; in the cache only once the kernel has taken it. */
  #link(object: Buffer, path: string, file: string): Result<string> {
    const checked = checkObject(object);
    if (!checked.ok) return bad(`${file} ${checked.reason}`);
    const [compiled, linked] = [`${path}.compiled.o`, `${path}.linked.o`];
    try {
      writeFileSync(compiled, object, { mode: 0o600 });
      linkObjects(linked, [this.#options.wrapper, compiled]);
      const fault = this.#faultOfLinked(linked);
      if (fault) return bad(`${file} ${fault}`);
      loadObject(linked, { pinDir: this.#options.maps, pinMaps: (map) => this.#own.has(map), anySize: true }).close();
      writeThrough(linked); // after a crash the cache has it whole or not at all
      renameSync(linked, path);
      return good(path);
    } catch (error) {
      return bad(reasonOf(error, file, checked.value));
    } finally {
      rmSync(compiled, { force: true });
      rmSync(linked, { force: true });
    }
  }

  #faultOfLinked(linked: string): string | undefined {
    const { programs, maps } = inspectDefinitions(linked);
    if (programs.join() !== "weir_custom") return "is more than one program";
    return checkMaps(maps, this.#own, possibleCpus());
  }

  /** Maps that the wrapper brings and every program shares. */
  isShared(map: string): boolean {
    return this.#own.has(map);
  }

  /** Forgets linked objects that no rule needs, but for the newest. */
  prune(keep: ReadonlySet<string>): void {
    const { cache } = this.#options;
    if (!existsSync(cache)) return;
    const files = readdirSync(cache).filter(
      (file) => file.endsWith(SUFFIX) && !keep.has(file.slice(0, -SUFFIX.length)),
    );
    const dated = files.map((file) => ({ file, time: statSync(join(cache, file)).mtimeMs }));
    dated.sort((a, b) => b.time - a.time);
    for (const { file } of dated.slice(SPARE)) rmSync(join(cache, file), { force: true });
  }
}

function writeThrough(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function reasonOf(error: unknown, file: string, compiled: Elf): string {
  if (error instanceof VerifierError) {
    const { reason, line } = readRefusal(error.log, (index) => lineOfInstruction(compiled, ENTRY, index));
    return `the verifier refuses ${file}${line === undefined ? "" : `:${line}`}: ${reason}`;
  }
  if (error instanceof KernelError)
    return `the kernel does not take ${file}: ${error.errno ?? error.code}${hintOf(error)}`;
  throw error;
}

/** A program that is too long to be looked at has no log. */
const hintOf = ({ errno }: KernelError): string => (errno === "E2BIG" ? " (too long, or too many paths)" : "");
