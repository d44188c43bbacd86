import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  BpfMap,
  enumNames,
  inspectDefinitions,
  inspectObject,
  loadObject,
  type ObjectSpec,
  Program,
} from "../kernel/index.ts";
import { KernelTable } from "./kernel-table.ts";
import { type PanelSizes, rowsFor } from "./sizes.ts";

/** A loaded object: its programs, and its maps as tables. */
export interface Loaded {
  name: string;
  programs: Map<string, Program>;
  tables: Map<string, KernelTable>;
  /** False if the kernel had these programs already. */
  fresh: boolean;
}

export interface ObjectFile {
  name: string; // `entry`, `router`, …
  path: string;
  spec: ObjectSpec;
  /** The build: first digits of the file's SHA-256. */
  build: string;
}

/** Reads an object file without loading it. */
export function readObject(directory: string, name: string): ObjectFile {
  const path = join(directory, `${name}.bpf.o`);
  const spec = inspectObject(path);
  const build = createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 12);
  return { name, path, spec, build };
}

/** The ABI version that an object was built with. */
export function abiOf(file: ObjectFile): number {
  const versions = [...enumNames(file.spec.btf, "weir_abi").keys()];
  const [version] = versions;
  if (version === undefined) throw new Error(`read ABI version of ${file.path}: enum weir_abi is empty`);
  return version;
}

/** The bpffs folders in which an object's maps and programs are pinned. */
export interface PinFolders {
  maps: string;
  programs: string;
  /** Pin paths of maps that are shared with other objects, by name. They are not among the object's tables. */
  elsewhere?: Readonly<Record<string, string>>;
  /** Sizes that replace those in the source, by map name. */
  rows?: Readonly<Record<string, number>>;
}

/**
 * Loads an object, with its maps and programs pinned in these folders. Pinned programs of the same build are used as
 * they are, without a write.
 */
export function loadPinned(file: ObjectFile, folders: PinFolders, sizes: PanelSizes): Loaded {
  const { programs } = folders;
  const pins = file.spec.programs.map((program) => ({ program, path: join(programs, pinOf(file, program)) }));
  const known = pins.every(({ path }) => existsSync(path));
  const loaded = known ? openPinned(file, folders, pins) : loadAnew(file, folders, pins, sizes);
  for (const { program, path } of pins) dropOtherBuilds(programs, program, path);
  return loaded;
}

/** Name of the pin of an object's program. */
export const pinOf = ({ build }: ObjectFile, program: string): string => `${program}_${build}`;

/**
 * Removes all programs' pins if a map is not pinned any more: programs that still have it would not see the rows of the
 * map that is made in its place.
 */
export function dropOrphans(
  { maps, programs }: Pick<PinFolders, "maps" | "programs">,
  files: readonly ObjectFile[],
  elsewhere: PinFolders["elsewhere"] = {},
): void {
  const paths = files.flatMap(({ spec }) => spec.maps.map((map) => elsewhere[map] ?? join(maps, map)));
  if (paths.every((path) => existsSync(path))) return;
  for (const pin of readdirSync(programs)) rmSync(join(programs, pin));
}

type Pin = { program: string; path: string };

function openPinned(file: ObjectFile, { maps, elsewhere = {} }: PinFolders, pins: readonly Pin[]): Loaded {
  const own = file.spec.maps.filter((name) => elsewhere[name] === undefined);
  const tables = own.map((name) => {
    const map = BpfMap.open(join(maps, name));
    return [name, new KernelTable(name, map, () => file.spec.codecs(name))] as const;
  });
  const programs = pins.map(({ program, path }) => [program, Program.open(path)] as const);
  return { name: file.name, programs: new Map(programs), tables: new Map(tables), fresh: false };
}

function loadAnew(file: ObjectFile, folders: PinFolders, pins: readonly Pin[], sizes: PanelSizes): Loaded {
  const declared = inspectDefinitions(file.path).maps.filter(({ isInternal }) => !isInternal);
  const rows = Object.fromEntries(declared.map((map) => [map.name, rowsFor(map.name, map.maxEntries, sizes)]));
  const { maps, elsewhere = {}, rows: others = {} } = folders;
  const object = loadObject(file.path, { pinDir: maps, pinAt: elsewhere, maxEntries: { ...rows, ...others } });
  for (const { program, path } of pins) {
    mkdirSync(join(path, ".."), { recursive: true });
    rmSync(path, { force: true });
    object.program(program).pin(path);
  }
  object.close();
  return { ...openPinned(file, folders, pins), fresh: true };
}

function dropOtherBuilds(directory: string, program: string, keep: string): void {
  for (const pin of readdirSync(directory)) {
    if (!pin.startsWith(`${program}_`) || join(directory, pin) === keep) continue;
    if (/^_[0-9a-f]{12}$/.test(pin.slice(program.length))) rmSync(join(directory, pin));
  }
}
