import type { MapDefinition } from "../../kernel/index.ts";
import { bad, good, quote, type Result } from "../../model/text.ts";
import { type Elf, parseElf, type Relocation } from "./elf.ts";
import { ALLOWED_HELPERS, helperName } from "./helpers.ts";

/** The name of a compiled program's entry function, whatever the source calls it. */
export const ENTRY = "weir_program";

const MOST_INSTRUCTIONS = 16_384;
const MOST_MAPS = 16;
const MOST_MAP_BYTES = 4 * 1024 * 1024;
/** Approximate overhead of a hash map's entry, in addition to key and value, bytes. */
const ENTRY_BYTES = 64;
const NO_PREALLOC = 1;

/** Accepted map types (BPF_MAP_TYPE_*). */
const MAPS: ReadonlyMap<number, { name: string; perCpu: boolean }> = new Map([
  [1, { name: "HASH", perCpu: false }],
  [2, { name: "ARRAY", perCpu: false }],
  [5, { name: "PERCPU_HASH", perCpu: true }],
  [6, { name: "PERCPU_ARRAY", perCpu: true }],
  [9, { name: "LRU_HASH", perCpu: false }],
  [10, { name: "LRU_PERCPU_HASH", perCpu: true }],
  [11, { name: "LPM_TRIE", perCpu: false }],
]);

/** Accepted sections: the program's data, and descriptions of it. Any other could have a meaning to the loader. */
const SECTIONS =
  /^(|\.strtab|\.symtab|\.shstrtab|\.text|\.maps|license|\.(data|rodata|bss)(\.[\w.]+)?|\.BTF|\.BTF\.ext|\.llvm_addrsig|\.comment|\.note\.GNU-stack|\.debug_\w+)$/;
const DATA = /^\.(maps|(data|rodata|bss)(\.[\w.]+)?)$/;

const CALL = 0x85;
const LOAD_64 = 0x18;
const INSTRUCTION = 8;
const R_BPF_64_64 = 1;
const R_BPF_64_32 = 10;

/**
 * Checks a compiled program before anything else reads it: one function named `ENTRY`, calls to allowed helpers only,
 * its own maps and data only. The verifier checks what the instructions do. Returns the reason of a refusal.
 */
export function checkObject(object: Buffer): Result<Elf> {
  let elf: Elf;
  try {
    elf = parseElf(object);
  } catch (error) {
    return bad(`what the compiler made ${(error as Error).message}`);
  }
  const reason = faultOfSections(elf) ?? faultOfSymbols(elf) ?? faultOfCode(elf);
  return reason === undefined ? good(elf) : bad(reason);
}

function faultOfSections({ sections }: Elf): string | undefined {
  for (const { name, isCode } of sections) {
    const about = name.startsWith(".rel") ? name.slice(4) : name;
    if (!SECTIONS.test(about))
      return `has a section ${quote(name)}; code, maps and data may be in the usual ones alone`;
    if (isCode && name !== ".text") return `has code in section ${quote(name)}`;
  }
  const doubled = sections.find(({ name }, index) => sections.findIndex((one) => one.name === name) !== index);
  return doubled && `has section ${quote(doubled.name)} twice`;
}

function faultOfSymbols({ symbols, sections }: Elf): string | undefined {
  const missing = symbols.find((one, index) => index > 0 && one.section === 0);
  if (missing)
    return `uses ${quote(missing.name)}, which is defined nowhere: a program has no part in what others define`;
  const named = symbols.filter(({ name }) => name.startsWith("weir_") && name !== ENTRY);
  if (named[0]) return `defines ${quote(named[0].name)}: names that begin with weir_ are Weir's`;
  const text = sections.find(({ name }) => name === ".text")?.index;
  const entry = symbols.find(({ name, isFunction, isLocal }) => name === ENTRY && isFunction && !isLocal);
  return entry && entry.section === text ? undefined : "has no function that is its program";
}

function faultOfCode({ sections, relocations }: Elf): string | undefined {
  const text = sections.find(({ name }) => name === ".text");
  if (!text) return "has no code";
  const count = text.data.length / INSTRUCTION;
  if (!Number.isInteger(count)) return "has half an instruction";
  if (count > MOST_INSTRUCTIONS) return `has ${count} instructions, at most ${MOST_INSTRUCTIONS} are taken`;
  const own = relocations.filter(({ section }) => section === text.index);
  const byOffset = new Map(own.map((one) => [one.offset, one]));
  const isPlaced = own.every(({ offset }) => offset % INSTRUCTION === 0 && offset < text.data.length);
  if (!isPlaced || byOffset.size !== own.length) return "has relocations that are not one an instruction";
  for (let at = 0; at < text.data.length; at += INSTRUCTION) {
    const fault = faultOfInstruction(text.data, at, byOffset.get(at), sections);
    if (fault) return fault;
    if (text.data[at] === LOAD_64) at += INSTRUCTION;
  }
  return undefined;
}

/** An instruction, with the relocation that the loader would apply to it. */
interface Instruction {
  operation: number;
  source: number;
  immediate: number;
  relocation: Relocation | undefined;
  /** Section of the relocation's symbol. */
  target: string;
}

function faultOfInstruction(
  code: Buffer,
  at: number,
  relocation: Relocation | undefined,
  sections: Elf["sections"],
): string | undefined {
  const operation = code.readUInt8(at);
  const source = code.readUInt8(at + 1) >> 4;
  const immediate = code.readInt32LE(at + 4);
  const target = (relocation && sections[relocation.symbol.section]?.name) ?? "";
  const instruction = { operation, source, immediate, relocation, target };
  if (operation === LOAD_64) return faultOfLoad(instruction);
  if ((operation & 7) === 0) return "uses a load that can end the program (LD_ABS or LD_IND)";
  if ((operation & 7) >= 5 && (operation & 0xf0) === 0x80) return faultOfCall(instruction);
  return relocation && `refers to ${quote(relocation.symbol.name)} in an instruction that cannot`;
}

/** With a source register, the immediate would be a map's file descriptor or the like. */
function faultOfLoad({ source, relocation, target }: Instruction): string | undefined {
  if (source !== 0) return "loads a map or an address by number";
  if (!relocation || (relocation.type === R_BPF_64_64 && DATA.test(target))) return undefined;
  return `refers to ${quote(relocation.symbol.name || target)}, which is no map or data`;
}

function faultOfCall({ operation, source, immediate, relocation, target }: Instruction): string | undefined {
  if (operation !== CALL) return "calls a function by pointer";
  if (source === 1) {
    if (!relocation || (relocation.type === R_BPF_64_32 && target === ".text")) return undefined;
    return `calls ${quote(relocation.symbol.name)}, which is none of its functions`;
  }
  if (source !== 0 || relocation) return "calls a function of the kernel's own (kfunc)";
  return ALLOWED_HELPERS.has(immediate) ? undefined : `calls ${helperName(immediate)}, which programs may not`;
}

/**
 * Checks the maps that the loader would create. Returns the reason of a refusal.
 * @param own names of the wrapper's maps
 */
export function checkMaps(maps: readonly MapDefinition[], own: ReadonlySet<string>, cpus: number): string | undefined {
  const theirs = maps.filter(({ name }) => !own.has(name));
  if (theirs.length > MOST_MAPS) return `has ${theirs.length} maps, at most ${MOST_MAPS} are taken`;
  let bytes = 0;
  for (const map of theirs) {
    const kind = MAPS.get(map.type);
    if (!kind)
      return `has a map ${quote(map.name)} of type ${map.type}; ${[...MAPS.values()].map(({ name }) => name).join(", ")} are taken`;
    if (map.pinPath !== undefined) return `pins its map ${quote(map.name)}; maps are the rule's own`;
    if (!map.isInternal && (map.flags & ~NO_PREALLOC) !== 0) return `has flags on its map ${quote(map.name)}`;
    bytes += map.maxEntries * (map.keySize + map.valueSize * (kind.perCpu ? cpus : 1) + ENTRY_BYTES);
  }
  if (bytes <= MOST_MAP_BYTES) return undefined;
  return `has maps of ${Math.ceil(bytes / 1024)} KiB, at most ${MOST_MAP_BYTES / 1024} KiB are taken`;
}
