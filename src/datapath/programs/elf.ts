/** The parts of an ELF object of BPF code that are checked: sections, symbols, relocations. */
export interface Elf {
  sections: readonly Section[];
  symbols: readonly Symbol[];
  relocations: readonly Relocation[];
}
export interface Section {
  index: number;
  name: string;
  type: number;
  isCode: boolean;
  data: Buffer;
  size: number;
}
export interface Symbol {
  name: string;
  isLocal: boolean;
  isFunction: boolean;
  isSection: boolean;
  /** Index of the symbol's section; 0: undefined symbol. */
  section: number;
  value: number;
}
export interface Relocation {
  /** Index of the section that the relocation changes. */
  section: number;
  offset: number;
  type: number;
  symbol: Symbol;
}

const MACHINE_BPF = 247;
const RELOCATABLE = 1;
const TYPE = { symtab: 2, rela: 4, nobits: 8, rel: 9 } as const;
const EXECINSTR = 4;
const HEADER = 64;
const SECTION_HEADER = 64;
const SYMBOL = 24;
const REL = 16;

/**
 * Parses a relocatable 64-bit little-endian BPF object. @throws Error with the reason, for any other or truncated file
 */
export function parseElf(file: Buffer): Elf {
  if (file.length < HEADER || file.readUInt32BE(0) !== 0x7f454c46) throw new Error("is no ELF object");
  const isBpf = file[4] === 2 && file[5] === 1 && file.readUInt16LE(16) === RELOCATABLE;
  if (!isBpf || file.readUInt16LE(18) !== MACHINE_BPF) throw new Error("is no BPF object");
  const headers = sectionHeaders(file);
  const names = headers[file.readUInt16LE(62)];
  if (!names) throw new Error("has no names of sections");
  const sections = headers.map(
    (header, index): Section => ({
      index,
      name: textAt(names.data, header.name),
      type: header.type,
      isCode: (header.flags & EXECINSTR) !== 0,
      data: header.data,
      size: header.size,
    }),
  );
  const tables = headers.filter(({ type }) => type === TYPE.symtab);
  if (tables.length !== 1) throw new Error("has no symbol table");
  if (headers.some(({ type }) => type === TYPE.rela)) throw new Error("has relocations of a kind that is not taken");
  const [table] = tables;
  const symbols = table ? symbolsOf(table.data, headers[table.link]?.data ?? Buffer.alloc(0)) : [];
  const relocations = headers
    .filter(({ type }) => type === TYPE.rel)
    .flatMap((header) => relocationsOf(header.data, header.info, symbols));
  return { sections, symbols, relocations };
}

interface Header {
  name: number;
  type: number;
  flags: number;
  link: number;
  info: number;
  size: number;
  data: Buffer;
}

function sectionHeaders(file: Buffer): Header[] {
  const at = Number(file.readBigUInt64LE(40));
  const count = file.readUInt16LE(60);
  if (file.readUInt16LE(58) !== SECTION_HEADER || count === 0) throw new Error("has no sections");
  return Array.from({ length: count }, (_, index) => {
    const header = part(file, at + index * SECTION_HEADER, SECTION_HEADER);
    const type = header.readUInt32LE(4);
    const size = Number(header.readBigUInt64LE(32));
    const data = type === TYPE.nobits || index === 0 ? Buffer.alloc(0) : part(file, offsetOf(header), size);
    return {
      name: header.readUInt32LE(0),
      type,
      flags: Number(header.readBigUInt64LE(8) & 0xffffffffn),
      link: header.readUInt32LE(40),
      info: header.readUInt32LE(44),
      size,
      data,
    };
  });
}

const offsetOf = (header: Buffer): number => Number(header.readBigUInt64LE(24));

function symbolsOf(data: Buffer, names: Buffer): Symbol[] {
  return Array.from({ length: Math.floor(data.length / SYMBOL) }, (_, index) => {
    const at = index * SYMBOL;
    const info = data.readUInt8(at + 4);
    return {
      name: textAt(names, data.readUInt32LE(at)),
      isLocal: info >> 4 === 0,
      isFunction: (info & 15) === 2,
      isSection: (info & 15) === 3,
      section: data.readUInt16LE(at + 6),
      value: Number(data.readBigUInt64LE(at + 8)),
    };
  });
}

function relocationsOf(data: Buffer, section: number, symbols: readonly Symbol[]): Relocation[] {
  return Array.from({ length: Math.floor(data.length / REL) }, (_, index) => {
    const info = data.readBigUInt64LE(index * REL + 8);
    const symbol = symbols[Number(info >> 32n)];
    if (!symbol) throw new Error("has a relocation to no symbol");
    return {
      section,
      offset: Number(data.readBigUInt64LE(index * REL)),
      type: Number(info & 0xffffffffn),
      symbol,
    };
  });
}

function part(file: Buffer, offset: number, size: number): Buffer {
  if (offset < 0 || offset + size > file.length) throw new Error("is cut short");
  return file.subarray(offset, offset + size);
}

function textAt(names: Buffer, offset: number): string {
  const end = names.indexOf(0, offset);
  if (offset > names.length || end < 0) throw new Error("has a name that is cut short");
  return names.toString("latin1", offset, end);
}
