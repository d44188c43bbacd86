import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import type { Direction } from "../../model/directions.ts";
import type { Macro } from "../../model/program-rules.ts";
import { bad, good, quote, type Result } from "../../model/text.ts";
import { version } from "../../model/version.ts";
import { ENTRY } from "./check.ts";
import { ALLOWED_HELPERS } from "./helpers.ts";
import { compilerDirectories, LIMITS, resolveProgram, Sandbox, type SandboxResult } from "./sandbox.ts";

/** A user's program to compile. */
export interface Source {
  /** File name in the administrator's folder, for messages. */
  file: string;
  text: Buffer;
  direction: Direction;
  /** Values are decimal numbers. */
  macros: readonly Macro[];
}

/** Part of a build's name, so that changed rules cause a new build. */
const JUDGE = [version, ...ALLOWED_HELPERS.keys()];
const MACHINE = process.arch === "arm64" ? "aarch64" : "x86_64";
/** Sources are GNU C like the kernel's. Warnings are not reported. */
const FLAGS = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-w", "-ferror-limit=1"] as const;
const QUIET = ["-fno-caret-diagnostics", "-fno-color-diagnostics", "-fno-diagnostics-fixit-info"] as const;
const INCLUDES = ["-nostdlibinc", `-I/usr/include/${MACHINE}-linux-gnu`, "-I/usr/include"] as const;

/** Runs clang in a new sandbox for each source. */
export class Compiler {
  readonly #clang: string;
  readonly #scratch: string;
  #version: string | undefined;

  /** @param scratch folder for sandboxes @throws Error if clang is not installed */
  constructor(scratch: string) {
    this.#scratch = scratch;
    this.#clang = resolveProgram("clang");
  }

  /** clang's version and the headers it uses: a build depends on them. */
  async version(): Promise<string> {
    this.#version ??= await this.#inside(async (run) => {
      const { stdout } = await run(["--version"], "");
      return `${this.#clang} ${stdout.toString("latin1")} ${headersDigest()}`;
    });
    return this.#version;
  }

  /**
   * Compiles a program to an object with one global function named `ENTRY`. The reason of a failure is the compiler's
   * first error: position and message, never the text of a file.
   * @throws Error if no sandbox can be created
   */
  compile(source: Source): Promise<Result<Buffer>> {
    return this.#inside(async (run) => {
      const first = await run([...sourceFlags(source), "-S", "-emit-llvm", "-x", "c", "-", "-o", "-"], source.text);
      if (first.code !== 0) return bad(reasonOf(first, source.file));
      const entry = findEntry(first.stdout.toString("latin1"));
      if (!entry.ok) return entry;
      // A macro renames the entry function to the name that the wrapper calls. It is not in a section of its own, so
      // that it can be called.
      const rename = entry.value === ENTRY ? [] : [`-D${entry.value}=${ENTRY}`];
      const args = [...sourceFlags(source), ...rename, "-S", "-emit-llvm", "-x", "c", "-", "-o", "-"];
      const second = await run(args, source.text);
      if (second.code !== 0) return bad(reasonOf(second, source.file));
      const code = withoutSection(second.stdout.toString("latin1"));
      const object = await run([...FLAGS, ...QUIET, "-c", "-x", "ir", "-", "-o", "-"], Buffer.from(code, "latin1"));
      return object.code === 0 ? good(object.stdout) : bad(reasonOf(object, source.file));
    });
  }

  async #inside<T>(
    work: (run: (args: readonly string[], input: string | Buffer) => Promise<SandboxResult>) => Promise<T>,
  ): Promise<T> {
    const sandbox = await Sandbox.open({ directories: compilerDirectories(this.#clang), scratch: this.#scratch });
    try {
      return await work((args, input) => sandbox.run({ argv: [this.#clang, ...args], input }));
    } finally {
      sandbox.close();
    }
  }
}

/** A digest of the headers that programs are compiled with. */
function headersDigest(): string {
  const hash = createHash("sha256");
  for (const directory of ["bpf", "linux", `${MACHINE}-linux-gnu/asm`].map((name) => `/usr/include/${name}`)) {
    for (const name of existsSync(directory) ? readdirSync(directory) : []) {
      const { size, mtimeMs } = statSync(`${directory}/${name}`);
      hash.update(`${directory}/${name} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest("hex");
}

function sourceFlags({ direction, macros }: Source): string[] {
  const given = macros.map(({ name, value }) => {
    // macros were parsed before: anything else would be a defect, and reach the compiler's arguments
    if (!/^[A-Za-z_]\w*$/.test(name) || !/^-?\d{1,19}$/.test(value)) throw new Error(`compile: macro ${quote(name)}`);
    return `-D${name}=${literal(value)}`;
  });
  const isEgress = direction === "egress";
  const own = [`-DINTERFACE=${direction}`, `-DWEIR_INGRESS=${isEgress ? 0 : 1}`, `-DWEIR_EGRESS=${isEgress ? 1 : 0}`];
  return [...FLAGS, ...QUIET, ...INCLUDES, ...own, ...given];
}

/**
 * A number in C. A negative one is in parentheses, so that `X-N` does not become `X--5`. C has no literal for the
 * smallest one.
 */
function literal(value: string): string {
  if (!value.startsWith("-")) return value;
  return value === "-9223372036854775808" ? "(-9223372036854775807-1)" : `(${value})`;
}

const DEFINITION = /^define (.*?)@("[^"]*"|[\w.$-]+)\((.*)$/;
const SECTION = / section "[^"]*"/;

/** The entry function: the only one in a section, as `SEC("tc")` puts it there. */
function findEntry(code: string): Result<string> {
  const found = code.split("\n").flatMap((line) => {
    const [, attributes = "", name = "", rest = ""] = DEFINITION.exec(line) ?? [];
    return name !== "" && SECTION.test(rest) ? [{ name, isStatic: /\b(internal|private)\b/.test(attributes) }] : [];
  });
  const [entry, other] = found;
  if (!entry) return bad('has no function in a section; write SEC("tc") before the one that is the program');
  if (other)
    return bad(`has more than one program: ${quote(entry.name)} and ${quote(other.name)} are both in sections`);
  if (!/^[A-Za-z_]\w*$/.test(entry.name)) return bad(`has a program with the name ${quote(entry.name)}`);
  return entry.isStatic ? bad(`has a program ${quote(entry.name)} that is static; it must not be`) : good(entry.name);
}

const withoutSection = (code: string): string =>
  code
    .split("\n")
    .map((line) => (line.startsWith("define ") ? line.replace(SECTION, "") : line))
    .join("\n");

/**
 * clang's first error. For an error in another file than the source not even the position is given, since it could
 * disclose that file.
 */
function reasonOf({ stderr, limit }: SandboxResult, file: string): string {
  if (limit !== undefined) return `the compiler needs more than ${limit}`;
  if (EXHAUSTED.test(stderr)) {
    const [memory, output] = [LIMITS.memory / 1024 ** 3, LIMITS.output / 1024 ** 2];
    return `${file}: it is too large to compile (at most ${memory} GiB of memory and ${output} MiB of output)`;
  }
  const line = stderr.split("\n").find((text) => /\berror: /.test(text)) ?? "";
  const [, at = "", message = ""] = /^(.*?)\s*(?:fatal )?error: (.*)$/.exec(line) ?? [];
  const place = /^<stdin>:(\d+):\d+:$/.exec(at)?.[1];
  if (place === undefined)
    return `${file}: ${at.startsWith("/") ? "an error in a file that it includes" : printable(message) || "the compiler has failed"}`;
  return `${file}:${place}: ${printable(message)}`;
}

/** LLVM's messages when it runs out of memory or output space. */
const EXHAUSTED = /IO failure on output stream|out of memory|bad_alloc|Cannot allocate memory/i;
const LONGEST_MESSAGE = 200;
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?").slice(0, LONGEST_MESSAGE);

/** The name of a build: a digest of text, macros, direction, wrapper, compiler and rules of `checkObject`. */
export function buildName(source: Source, wrapper: Buffer, compiler: string): string {
  const hash = createHash("sha256");
  const { text, direction, macros } = source;
  for (const part of [text, wrapper, JSON.stringify([direction, macros, compiler, FLAGS, INCLUDES, JUDGE])]) {
    hash.update(`${part.length}:`).update(part);
  }
  return hash.digest("hex").slice(0, 12);
}
