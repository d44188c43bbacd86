import { bad, good, type Result } from "./text.ts";

/** What a text begins with, by encoding. UTF-32's mark of one byte order begins with UTF-16's, and goes first. */
const MARKS: readonly (readonly [encoding: string, mark: readonly number[]])[] = [
  ["UTF-32", [0xff, 0xfe, 0, 0]],
  ["UTF-32", [0, 0, 0xfe, 0xff]],
  ["UTF-8", [0xef, 0xbb, 0xbf]],
  ["UTF-16LE", [0xff, 0xfe]],
  ["UTF-16BE", [0xfe, 0xff]],
];

/** A file's bytes as text: UTF-8 or UTF-16, with a byte order mark or without, as YAML has it. Refusals name the encoding. */
export function decodeText(bytes: Uint8Array): Result<string> {
  const encoding = encodingOf(bytes);
  try {
    return good(new TextDecoder(encoding, { fatal: true }).decode(bytes));
  } catch {
    return bad(
      `is not text in ${encoding === "UTF-32" ? "UTF-8 or UTF-16, but in UTF-32" : encoding}; save it in UTF-8`,
    );
  }
}

function encodingOf(bytes: Uint8Array): string {
  const marked = MARKS.find(([, mark]) => mark.every((byte, index) => bytes[index] === byte));
  if (marked) return marked[0];
  // A manifest begins with a character of ASCII.
  const [first, second] = bytes;
  if (first !== undefined && second === 0) return "UTF-16LE";
  return first === 0 && second !== undefined ? "UTF-16BE" : "UTF-8";
}
