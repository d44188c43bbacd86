import type { Elf } from "./elf.ts";

const MAGIC = 0xeb9f;
const INSTRUCTION = 8;
/** Bytes that are read of a line record: instruction offset, file name, text, line and column. */
const RECORD = 16;
const COLUMN_BITS = 10;
/** The file name of every user's source in BTF: the compiler reads it from standard input. */
const SOURCE = /(^|\/)<stdin>$/;

/**
 * The source line of a function's instruction, from the object's BTF; undefined if it has none. Objects are untrusted:
 * malformed BTF gives undefined.
 * @param instruction index from the function's first instruction
 */
export function lineOfInstruction(elf: Elf, name: string, instruction: number): number | undefined {
  const entry = elf.symbols.find((one) => one.name === name && one.isFunction);
  const text = elf.sections.find(({ name }) => name === ".text");
  if (!entry || !text || entry.section !== text.index || instruction < 0) return undefined;
  try {
    return lineAt(elf, entry.value + instruction * INSTRUCTION, entry.value);
  } catch {
    return undefined; // truncated
  }
}

function lineAt(elf: Elf, offset: number, least: number): number | undefined {
  const strings = stringsOf(elf);
  let found: number | undefined;
  for (const { at, file, line } of recordsOf(elf, strings)) {
    if (at >= least && at <= offset && line > 0 && SOURCE.test(strings(file))) found = line;
  }
  return found;
}

const dataOf = (elf: Elf, name: string): Buffer =>
  elf.sections.find((section) => section.name === name)?.data ?? Buffer.alloc(0);

function stringsOf(elf: Elf): (offset: number) => string {
  const btf = dataOf(elf, ".BTF");
  if (btf.readUInt16LE(0) !== MAGIC) throw new Error("is no BTF");
  const start = btf.readUInt32LE(4) + btf.readUInt32LE(16);
  return (offset) => btf.toString("latin1", start + offset, btf.indexOf(0, start + offset));
}

/** Line records of `.text`, in the order of their instructions. */
function* recordsOf(elf: Elf, strings: (offset: number) => string) {
  const data = dataOf(elf, ".BTF.ext");
  if (data.readUInt16LE(0) !== MAGIC) throw new Error("is no BTF");
  const start = data.readUInt32LE(4) + data.readUInt32LE(16);
  const end = Math.min(start + data.readUInt32LE(20), data.length);
  const size = data.readUInt32LE(start);
  if (size < RECORD) throw new Error("has records that are too short");
  for (let at = start + 4; at < end; ) {
    const section = strings(data.readUInt32LE(at));
    const count = data.readUInt32LE(at + 4);
    at += 8;
    for (let index = 0; index < count && at < end; index++, at += size) {
      if (section !== ".text") continue;
      yield {
        at: data.readUInt32LE(at),
        file: data.readUInt32LE(at + 4),
        line: data.readUInt32LE(at + 12) >>> COLUMN_BITS,
      };
    }
  }
}
