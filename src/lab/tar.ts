import { LabError } from "./errors.ts";

/** One member of a tar archive. `path` is as written in the archive: check it before use. */
export interface TarEntry {
  path: string;
  type: "file" | "directory" | "symlink" | "link" | "other";
  mode: number;
  linkPath: string;
  data: Buffer;
}

const BLOCK = 512;

/** Reads the members of a tar archive in memory (ustar, GNU long names, pax paths). Throws LabError `bad-tar`. */
export function* readTar(archive: Buffer): Generator<TarEntry> {
  let given: Record<string, string> = {};
  for (const { flag, header, data } of members(archive)) {
    if (flag === "L") given.path = text(data, 0, data.length);
    else if (flag === "K") given.linkpath = text(data, 0, data.length);
    else if (flag === "x") given = readPax(data);
    else if (flag !== "g") {
      yield {
        path: given.path ?? headerPath(header),
        type: typeOf(flag),
        mode: number(header, 100, 8) & 0o7777,
        linkPath: given.linkpath ?? text(header, 157, 100),
        data,
      };
      given = {};
    }
  }
}

/**
 * Headers with their data, extension headers included. A size in a pax header takes precedence over the next member's
 * own.
 */
function* members(archive: Buffer): Generator<{ flag: string; header: Buffer; data: Buffer }> {
  let offset = 0;
  let sizeOfNext: number | undefined;
  while (offset + BLOCK <= archive.length) {
    const header = archive.subarray(offset, offset + BLOCK);
    if (header.every((byte) => byte === 0)) return;
    checkSum(header, offset);
    const size = sizeOfNext ?? number(header, 124, 12);
    const start = offset + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || start + size > archive.length) throw cut(offset);
    const flag = String.fromCharCode(header[156] ?? 0);
    const data = archive.subarray(start, start + size);
    yield { flag, header, data };
    const given = flag === "x" ? readPax(data).size : undefined;
    sizeOfNext = given === undefined ? undefined : Number(given);
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
}

function cut(offset: number): LabError {
  return new LabError("bad-tar", `read tar archive: cut short or damaged at byte ${offset}`);
}

function checkSum(header: Buffer, offset: number): void {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : (header[i] ?? 0);
  if (sum !== number(header, 148, 8)) throw cut(offset);
}

function headerPath(header: Buffer): string {
  const name = text(header, 0, 100);
  const prefix = text(header, 257, 5) === "ustar" && header[262] === 0 ? text(header, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function text(buffer: Buffer, start: number, length: number): string {
  const field = buffer.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString("utf8");
}

/** Octal text, or base 256 if the top bit is set (GNU, files of 8 GiB and more). */
function number(header: Buffer, start: number, length: number): number {
  if (((header[start] ?? 0) & 0x80) !== 0) {
    let value = (header[start] ?? 0) & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + (header[start + i] ?? 0);
    return value;
  }
  const digits = text(header, start, length).trim();
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function typeOf(flag: string): TarEntry["type"] {
  if (flag === "0" || flag === "\0" || flag === "7") return "file";
  if (flag === "5") return "directory";
  if (flag === "2") return "symlink";
  return flag === "1" ? "link" : "other";
}

/**
 * Records of `LENGTH key=value
 * `. The length includes itself.
 */
function readPax(data: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  let offset = 0;
  while (offset < data.length) {
    const space = data.indexOf(32, offset);
    const length = Number.parseInt(data.subarray(offset, space).toString("utf8"), 10);
    if (space < 0 || !(length > 0)) throw new LabError("bad-tar", "read tar archive: damaged pax header");
    const record = data.subarray(space + 1, offset + length - 1).toString("utf8");
    const equals = record.indexOf("=");
    if (["path", "linkpath", "size"].includes(record.slice(0, equals))) {
      records[record.slice(0, equals)] = record.slice(equals + 1);
    }
    offset += length;
  }
  return records;
}
