import type { Direction } from "./directions.ts";
import { isDirection, parseDirections } from "./directions.ts";
import { meantProgram, orMeant } from "./meant.ts";
import { bad, good, quote, type Result } from "./text.ts";

/** A macro and its value: a 64-bit integer as canonical decimal text, since JSON has no such numbers. */
export interface Macro {
  name: string;
  value: string;
}

/** An `ebpf-limit` annotation's value for one direction. */
export interface ParsedProgram {
  direction: Direction;
  /** Name in the administrator's list; not checked against the list here. */
  program: string;
  /** Sorted by name, each name once. */
  macros: readonly Macro[];
  configured: string;
}

/** A macro of a listed program. Without a default or `required` it stays undefined if it is not given. */
export interface MacroDeclaration {
  name: string;
  min: bigint;
  max: bigint;
  default?: bigint | undefined;
  required?: boolean | undefined;
}

const LONGEST = 1024;
const LONGEST_PROGRAM = 32;
const LONGEST_MACRO = 64;
const MOST_MACROS = 16;
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const HINT =
  'write "<name> <ingress|egress> [-DNAME=<whole number> …]", for example "drop-one-of egress -DN=100"; two directions have ";" between them';

/** Why a program cannot have this name, or undefined. Names are safe as parts of a path. */
export function checkProgramName(name: string): string | undefined {
  if (name.length > LONGEST_PROGRAM) return `${quote(name)} is longer than ${LONGEST_PROGRAM} characters`;
  if (/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return undefined;
  return `${quote(name)} is no program's name: it must be lower-case letters, digits and "-", and begin and end with a letter or digit`;
}

/** Why a macro cannot have this name, or undefined. Names defined by Weir and the compiler are refused. */
export function checkMacroName(name: string): string | undefined {
  if (name.length > LONGEST_MACRO) return `macro ${quote(name)} is longer than ${LONGEST_MACRO} characters`;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return `${quote(name)} is no macro's name: it must be letters, digits and "_", and begin with no digit`;
  }
  if (name === "INTERFACE") return "macro INTERFACE is Weir's: it is the rule's direction";
  return /^(__|_[A-Z]|weir_)/i.test(name) ? `macro ${quote(name)} is reserved: give it a name of your own` : undefined;
}

/** Parses podmgr's grammar: `NAME egress -DN=100 -DM=0x1f`; two directions are separated by `;` or `,`. */
export function parseProgramRules(value: string): Result<ParsedProgram[]> {
  return parseDirections(value, { longest: LONGEST, hint: HINT }, parseOne);
}

const parseOne = (text: string): Result<ParsedProgram> => orMeant(text, readOne, meantProgram);

function readOne(text: string): Result<ParsedProgram> {
  const [program = "", direction = "", ...rest] = text.split(/[ \t]+/);
  if (direction === "") return bad(`${quote(text)} is not a rule; ${HINT}`);
  const fault = checkProgramName(program);
  if (fault) return bad(`${fault}; ${HINT}`);
  if (!isDirection(direction)) {
    return bad(`${quote(text)} has the direction ${quote(direction)}; ${HINT}`);
  }
  const macros = parseMacros(rest);
  return macros.ok ? good({ direction, program, macros: macros.value, configured: text }) : macros;
}

function parseMacros(words: readonly string[]): Result<Macro[]> {
  if (words.length > MOST_MACROS)
    return bad(`${words.length} words follow the direction; ${MOST_MACROS} macros at most`);
  const macros: Macro[] = [];
  for (const word of words) {
    const macro = parseMacro(word);
    if (!macro.ok) return macro;
    if (macros.some(({ name }) => name === macro.value.name)) {
      return bad(`macro ${macro.value.name} is given twice; give each macro once`);
    }
    macros.push(macro.value);
  }
  return good(macros.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
}

function parseMacro(word: string): Result<Macro> {
  if (!word.startsWith("-D")) return bad(`${quote(word)} is no macro; write -DNAME=<whole number> without spaces`);
  const equals = word.indexOf("=");
  const name = word.slice(2, equals < 0 ? undefined : equals);
  if (name === "") return bad(`${quote(word)} names no macro; write -DNAME=<whole number> without spaces`);
  const fault = checkMacroName(name);
  if (fault) return bad(fault);
  if (equals < 0) return bad(`macro ${name} has no value; write -D${name}=<whole number> without spaces`);
  const value = parseInteger(word.slice(equals + 1));
  return value.ok ? good({ name, value: String(value.value) }) : bad(`macro ${name}: ${value.reason}`);
}

/** Parses a signed 64-bit C integer. `010` is refused: C reads 8, people read 10. */
function parseInteger(text: string): Result<bigint> {
  const [, sign, digits] = /^(-?)(0|[1-9][0-9]{0,18}|0[xX][0-9a-fA-F]{1,16})$/.exec(text) ?? [];
  if (digits === undefined) {
    return bad(`${quote(text)} is no whole number of 64 bits; write it in decimal without leading zeros, or as 0x…`);
  }
  const value = sign === "-" ? -BigInt(digits) : BigInt(digits);
  if (value >= INT64.min && value <= INT64.max) return good(value);
  return bad(`${quote(text)} is not within ${INT64.min} to ${INT64.max}`);
}

/**
 * The macros for compiling a listed program: the given ones, checked against their ranges, and defaults; sorted by
 * name, so that equal ones give equal builds. The reason of an error names the macro.
 */
export function resolveMacros(declared: readonly MacroDeclaration[], given: readonly Macro[]): Result<Macro[]> {
  const unknown = given.find(({ name }) => !declared.some((one) => one.name === name));
  if (unknown) {
    const names = declared.map(({ name }) => name).join(", ");
    return bad(`macro ${unknown.name} is not declared for this program; ${names ? `it has ${names}` : "it has none"}`);
  }
  const macros: Macro[] = [];
  for (const { name, min, max, default: otherwise, required } of declared) {
    const value = given.find((one) => one.name === name)?.value;
    if (value === undefined && required) return bad(`macro ${name} is required; add -D${name}=<${min} to ${max}>`);
    if (value !== undefined && (BigInt(value) < min || BigInt(value) > max)) {
      return bad(`macro ${name} is ${value}, not within ${min} to ${max}`);
    }
    const used = value ?? otherwise?.toString();
    if (used !== undefined) macros.push({ name, value: used });
  }
  return good(macros.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
}
