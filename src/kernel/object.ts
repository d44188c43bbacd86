import { existsSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { Btf } from "./btf.ts";
import type { TypeIn } from "./carry.ts";
import { type Codec, codec, type FieldValue } from "./codec.ts";
import { errnoName, KernelError, VerifierError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { bpf, type Pointer } from "./ffi.ts";
import { copyOf, rawBtf } from "./kernel-btf.ts";
import { firstWarning, verifierLog, withLibbpfLog } from "./log.ts";
import { BpfMap } from "./map.ts";
import { makeDirectory } from "./pin.ts";
import { Program } from "./program.ts";

export interface LoadOptions {
  /** Directory on a bpffs. A map pinned there is reused if it is compatible; else it is created and pinned there. */
  pinDir?: string;
  /** Maps to pin; default: all but the compiler's own (`.rodata`, `.bss`). */
  pinMaps?: (name: string) => boolean;
  /** Pin paths of maps that are pinned elsewhere, by name. */
  pinAt?: Readonly<Record<string, string>>;
  /** Values of `const volatile` variables. */
  rodata?: Readonly<Record<string, FieldValue>>;
  /** Sizes that replace those in the source. */
  maxEntries?: Readonly<Record<string, number>>;
  /** An already pinned map is used whatever its size. */
  anySize?: boolean;
}

/** A loaded ELF object: programs, maps and types. Pins and attached BPF links outlive it. */
export class BpfObject {
  readonly path: string;
  readonly btf: Btf;
  readonly maps: ReadonlyMap<string, BpfMap>;
  readonly programs: ReadonlyMap<string, Program>;
  readonly #types: ReadonlyMap<string, { key: number; value: number }>;
  readonly #fds: readonly Fd[];
  #handle: Pointer | null;

  /** Programs use `loadObject`. */
  constructor(path: string, handle: Pointer, btf: Btf) {
    this.path = path;
    this.#handle = handle;
    this.btf = btf;
    const fds: Fd[] = [];
    const own = (what: string, number: unknown) => {
      const fd = new Fd(`${what} of ${path}`, number as number);
      fds.push(fd);
      return fd;
    };
    const maps = list(handle, "map").map(({ name, pointer }) => ({
      name,
      map: new BpfMap(own(`map ${name}`, bpf.bpf_map__fd(pointer)), name),
      key: bpf.bpf_map__btf_key_type_id(pointer) as number,
      value: bpf.bpf_map__btf_value_type_id(pointer) as number,
    }));
    this.maps = new Map(maps.map(({ name, map }) => [name, map]));
    this.#types = new Map(maps.map(({ name, key, value }) => [name, { key, value }]));
    this.programs = new Map(
      list(handle, "program").map(({ name, pointer }) => {
        const fd = own(`program ${name}`, bpf.bpf_program__fd(pointer));
        return [name, new Program(fd, name)] as const;
      }),
    );
    this.#fds = fds;
  }

  /** @throws KernelError `program-missing` */
  program(name: string): Program {
    return this.programs.get(name) ?? this.#missing("program", name, this.programs);
  }

  /** @throws KernelError `map-missing` */
  map(name: string): BpfMap {
    return this.maps.get(name) ?? this.#missing("map", name, this.maps);
  }

  /** Codecs of the declared types of a map's key and value. */
  codecs(name: string): { key: Codec; value: Codec } {
    const types = this.#types.get(name) ?? this.#missing("map", name, this.maps);
    return {
      key: codec(this.btf, types.key),
      value: codec(this.btf, types.value),
    };
  }

  /** Closes all descriptors of the object. Idempotent. */
  close(): void {
    if (this.#handle === null) return;
    for (const fd of this.#fds) fd.forget();
    bpf.bpf_object__close(this.#handle);
    this.#handle = null;
  }

  #missing(kind: "map" | "program", name: string, known: ReadonlyMap<string, unknown>): never {
    const hint = `it has ${[...known.keys()].join(", ") || "none"}`;
    throw new KernelError(`find ${kind} ${name} in ${this.path}`, {
      code: `${kind}-missing`,
      hint,
    });
  }
}

/**
 * Attempts to load: a signal interrupts the verifier with EAGAIN. libbpf tries five times, which is not enough for long
 * programs under load.
 */
const LOAD_ATTEMPTS = 4;

/**
 * Opens an ELF object, sets read-only data, reuses or creates its maps, and loads its programs.
 * @throws VerifierError; KernelError `object-unreadable`, `map-incompatible`, `load-failed`, `rodata-missing`
 */
export function loadObject(path: string, options: LoadOptions = {}): BpfObject {
  for (let attempt = 1; ; attempt++) {
    try {
      return loadOnce(path, options);
    } catch (error) {
      if ((error as KernelError).errno !== "EAGAIN" || attempt === LOAD_ATTEMPTS) throw error;
    }
  }
}

function loadOnce(path: string, options: LoadOptions): BpfObject {
  const { result: handle, log } = withLibbpfLog(() => openFile(path));
  if (handle.pointer === null) throw openError(path, handle.errno, log);
  const pointer = handle.pointer;
  try {
    const btf = readBtf(pointer, path);
    prepareMaps(pointer, options);
    setReadOnlyData(pointer, path, btf, options.rodata ?? {});
    const loaded = withLibbpfLog(() => bpf.bpf_object__load(pointer) as number);
    if (loaded.result < 0) throw loadError(path, -loaded.result, loaded.log);
    return new BpfObject(path, pointer, btf);
  } catch (error) {
    bpf.bpf_object__close(pointer);
    throw error;
  }
}

/** A compiled object that is not loaded. */
export interface ObjectSpec {
  btf: Btf;
  programs: readonly string[];
  maps: readonly string[];
  /** Declared types of a map's key and value; undefined if it is declared by sizes only. */
  types(map: string): { key: TypeIn; value: TypeIn } | undefined;
  /** Codecs of these types. @throws KernelError `map-missing` */
  codecs(map: string): { key: Codec; value: Codec };
}

/** Reads an object without loading it. @throws KernelError `object-unreadable`, `btf-missing` */
export function inspectObject(path: string): ObjectSpec {
  const { result: handle, log } = withLibbpfLog(() => openFile(path));
  if (handle.pointer === null) throw openError(path, handle.errno, log);
  try {
    const btf = readBtf(handle.pointer, path);
    const maps = list(handle.pointer, "map").filter(({ pointer }) => !bpf.bpf_map__is_internal(pointer));
    return {
      btf,
      programs: list(handle.pointer, "program").map(({ name }) => name),
      maps: maps.map(({ name }) => name),
      types: (map) => declaredTypes(btf, map),
      codecs: (map) => declaredCodecs(btf, map, path),
    };
  } finally {
    bpf.bpf_object__close(handle.pointer);
  }
}

/** A map as declared in an object. */
export interface MapDefinition {
  name: string;
  /** `BPF_MAP_TYPE_*`. */
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  /** A map of the compiler: `.rodata`, `.bss`, `.data`. */
  isInternal: boolean;
  /** The pin path that the object itself declares. */
  pinPath: string | undefined;
}

/** Names of programs, and maps of an object, without loading it. @throws KernelError `object-unreadable` */
export function inspectDefinitions(path: string): { programs: string[]; maps: MapDefinition[] } {
  const { result: handle, log } = withLibbpfLog(() => openFile(path));
  if (handle.pointer === null) throw openError(path, handle.errno, log);
  try {
    return {
      programs: list(handle.pointer, "program").map(({ name }) => name),
      maps: list(handle.pointer, "map").map(({ name, pointer }) => ({
        name,
        type: bpf.bpf_map__type(pointer) as number,
        keySize: bpf.bpf_map__key_size(pointer) as number,
        valueSize: bpf.bpf_map__value_size(pointer) as number,
        maxEntries: bpf.bpf_map__max_entries(pointer) as number,
        flags: bpf.bpf_map__map_flags(pointer) as number,
        isInternal: bpf.bpf_map__is_internal(pointer) as boolean,
        pinPath: (bpf.bpf_map__pin_path(pointer) as string | null) ?? undefined,
      })),
    };
  } finally {
    bpf.bpf_object__close(handle.pointer);
  }
}

/** A map's declaration is a variable of a struct whose members `key` and `value` point to the types. */
function declaredTypes(btf: Btf, map: string): { key: TypeIn; value: TypeIn } | undefined {
  const variable = btf.types.find((type) => type.kind === "var" && type.name === map);
  const members = variable ? btf.resolve(variable.type).members : [];
  const [key, value] = ["key", "value"].map((name) => {
    const pointer = members.find((member) => member.name === name);
    return pointer && { btf, type: btf.resolve(pointer.type).type };
  });
  return key && value && { key, value };
}

function declaredCodecs(btf: Btf, map: string, path: string): { key: Codec; value: Codec } {
  const types = declaredTypes(btf, map);
  if (types) return { key: codec(btf, types.key.type), value: codec(btf, types.value.type) };
  const hint = "no such declaration with types";
  throw new KernelError(`read types of map ${map} in ${path}`, { code: "map-missing", hint });
}

function openFile(path: string): { pointer: Pointer | null; errno: number } {
  const pointer = bpf.bpf_object__open_file(path, null) as Pointer | null;
  return { pointer, errno: pointer === null ? koffi.errno() : 0 };
}

function openError(path: string, errno: number, log: string): KernelError {
  const name = errno > 0 && errno < 4000 ? errnoName(errno) : undefined;
  const hint = name === "ENOENT" ? "no such file; build the programs first" : firstWarning(log);
  return new KernelError(`open object ${path}`, {
    code: "object-unreadable",
    errno: name,
    hint,
  });
}

function loadError(path: string, errno: number, log: string): KernelError {
  const name = errnoName(errno);
  const verifier = verifierLog(log);
  const program = /prog '([^']+)'/.exec(log)?.[1];
  if (verifier !== undefined && program) return new VerifierError(`load program ${program} of ${path}`, name, verifier);
  const map = /couldn't reuse pinned map at '([^']+)'/.exec(log)?.[1];
  if (map) {
    const hint = "what is pinned has other sizes; remove the pin or use another directory";
    return new KernelError(`use pinned map ${map} for ${path}`, {
      code: "map-incompatible",
      errno: name,
      hint,
    });
  }
  return new KernelError(`load object ${path}`, {
    code: "load-failed",
    errno: name,
    // libbpf's first warning then is about an irrelevant limit
    hint: name === "EPERM" ? undefined : firstWarning(log),
  });
}

function list(handle: Pointer, kind: "map" | "program"): { name: string; pointer: Pointer }[] {
  const next = kind === "map" ? bpf.bpf_object__next_map : bpf.bpf_object__next_program;
  const nameOf = kind === "map" ? bpf.bpf_map__name : bpf.bpf_program__name;
  const found: { name: string; pointer: Pointer }[] = [];
  for (let pointer = next(handle, null); pointer !== null; pointer = next(handle, pointer)) {
    found.push({
      name: nameOf(pointer) as string,
      pointer: pointer as Pointer,
    });
  }
  return found;
}

function readBtf(handle: Pointer, path: string): Btf {
  const btf = bpf.bpf_object__btf(handle) as Pointer | null;
  const data = btf === null ? undefined : rawBtf(btf);
  if (data) return Btf.parse(data);
  throw new KernelError(`read BTF of ${path}`, { code: "btf-missing", hint: "compile with -g" });
}

function prepareMaps(
  handle: Pointer,
  { pinDir, pinMaps, pinAt = {}, maxEntries = {}, anySize = false }: LoadOptions,
): void {
  if (pinDir) makeDirectory(pinDir);
  const pinned = (name: string) =>
    pinAt[name] ?? (pinDir && (pinMaps?.(name) ?? true) ? join(pinDir, name) : undefined);
  for (const { name, pointer } of list(handle, "map")) {
    if (maxEntries[name] !== undefined) bpf.bpf_map__set_max_entries(pointer, maxEntries[name]);
    const pin = bpf.bpf_map__is_internal(pointer) ? undefined : pinned(name);
    if (pin === undefined) continue;
    bpf.bpf_map__set_pin_path(pointer, pin);
    if (anySize && existsSync(pin)) bpf.bpf_map__set_max_entries(pointer, sizeOf(pin));
  }
}

function sizeOf(pin: string): number {
  const map = BpfMap.open(pin);
  map.close();
  return map.maxEntries;
}

function setReadOnlyData(handle: Pointer, path: string, btf: Btf, values: Readonly<Record<string, FieldValue>>): void {
  const wanted = Object.entries(values);
  if (wanted.length === 0) return;
  const section = list(handle, "map").find(({ name }) => name.endsWith(".rodata"));
  const size = [0];
  const initial = section ? (bpf.bpf_map__initial_value(section.pointer, size) as Pointer | null) : null;
  const variables = new Map(
    (btf.find(".rodata")?.members ?? []).map((entry) => [btf.types[entry.type]?.name, entry] as const),
  );
  const bytes = initial === null ? Buffer.alloc(0) : copyOf(initial, size[0] ?? 0);
  for (const [name, value] of wanted) {
    const variable = variables.get(name);
    const type = variable && btf.types[variable.type];
    if (!section || !variable || !type) {
      const hint = "no such `const volatile` variable";
      throw new KernelError(`set ${name} in ${path}`, {
        code: "rodata-missing",
        hint,
      });
    }
    codec(btf, type.type)
      .encode(value)
      .copy(bytes, variable.offset / 8);
  }
  if (section) bpf.bpf_map__set_initial_value(section.pointer, bytes, bytes.length);
}
