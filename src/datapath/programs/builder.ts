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
  /** The object of the wrapper: `custom.bpf.o`. */
  wrapper: string;
  /** The folder for linked objects; created when needed. */
  cache: string;
  /** The bpffs folder of the panel's maps, which linked programs share. */
  maps: string;
}

const SUFFIX = ".bpf.o";
/** The number of unused linked objects to keep: a rule may be changed back. */
const SPARE = 64;

/**
 * Builds users' programs: compiles the source in a sandbox, checks the object, links it into the wrapper and loads it
 * to have it verified. Results are cached by build name.
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

  /** The name of a build, without building it. Throws if there is no compiler or no sandbox. */
  async name(source: Source): Promise<string> {
    this.#version ??= await this.#clang.version();
    return buildName(source, this.#wrapper, this.#version);
  }

  /** Created on first use: a node without users' programs needs no compiler. */
  get #clang(): Compiler {
    if (this.#compiler) return this.#compiler;
    mkdirSync(this.#options.cache, { recursive: true, mode: 0o700 });
    Sandbox.sweep(this.#options.cache);
    this.#compiler = new Compiler(this.#options.cache);
    return this.#compiler;
  }

  /** The path of a build's linked object. */
  path(build: string): string {
    return join(this.#options.cache, `${build}${SUFFIX}`);
  }

  /** Builds a program, or takes it from the cache. If it is refused, the reason says by what and why. */
  async build(source: Source, name: string): Promise<Result<string>> {
    const path = this.path(name);
    if (existsSync(path)) return good(path);
    const compiled = await this.#clang.compile(source);
    if (!compiled.ok) return bad(`does not compile: ${compiled.reason}`);
    return this.#link(compiled.value, path, source.file);
  }

  /** Checks, links and verifies a compiled program. It is only cached once the kernel has accepted it. */
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
      writeThrough(linked); // after a crash the cache has the complete file or none
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

  /** Removes unused linked objects, except the newest. */
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

/** A program that exceeds the verifier's limits has no log. */
const hintOf = ({ errno }: KernelError): string => (errno === "E2BIG" ? " (too long, or too many paths)" : "");
