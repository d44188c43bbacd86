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

/** One compiled object with its programs in the kernel and its maps as tables. */
export interface Loaded {
  name: string;
  programs: Map<string, Program>;
  tables: Map<string, KernelTable>;
  /** False when the kernel held these very programs already. */
  fresh: boolean;
}

export interface ObjectFile {
  name: string; // `entry`, `router`, …
  path: string;
  spec: ObjectSpec;
  /** First digits of the file's SHA-256: which build it is. */
  build: string;
}

/** Reads an object without loading it. */
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

/** Where an object's maps and programs are pinned: bpffs folders. */
export interface PinFolders {
  maps: string;
  programs: string;
  /** Maps that are pinned elsewhere and not of this object's tables: paths by their names. */
  elsewhere?: Readonly<Record<string, string>>;
  /** Rows other than the source's, by the maps' names. */
  rows?: Readonly<Record<string, number>>;
}

/**
 * Brings an object into the kernel, with its maps and programs pinned in these folders.
 * Programs of the same build that are pinned already are taken as they are: nothing is written.
 */
export function loadPinned(file: ObjectFile, folders: PinFolders, sizes: PanelSizes): Loaded {
  const { programs } = folders;
  const pins = file.spec.programs.map((program) => ({ program, path: join(programs, `${program}_${file.build}`) }));
  const known = pins.every(({ path }) => existsSync(path));
  const loaded = known ? openPinned(file, folders, pins) : loadAnew(file, folders, pins, sizes);
  for (const { program, path } of pins) dropOtherBuilds(programs, program, path);
  return loaded;
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
