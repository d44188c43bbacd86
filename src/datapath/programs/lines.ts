import type { Elf } from "./elf.ts";

const MAGIC = 0xeb9f;
const INSTRUCTION = 8;
/** Bytes of a line's record that are read: offset of the instruction, file name, text, line and column. */
const RECORD = 16;
const COLUMN_BITS = 10;
/** What every user's source is called: the compiler reads it from standard input. */
const SOURCE = /(^|\/)<stdin>$/;

/**
 * The line of the source that an instruction of a function comes from, by the object's BTF; undefined if that says nothing.
 * `instruction` is counted from the function's first one. Objects are hostile: whatever is wrong with one is no line.
 */
export function lineOfInstruction(elf: Elf, name: string, instruction: number): number | undefined {
  const entry = elf.symbols.find((one) => one.name === name && one.isFunction);
  const text = elf.sections.find(({ name }) => name === ".text");
  if (!entry || !text || entry.section !== text.index || instruction < 0) return undefined;
  try {
    return lineAt(elf, entry.value + instruction * INSTRUCTION, entry.value);
  } catch {
    return undefined; // cut short
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

/** Records of `.text`, in the order of their instructions. */
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
