/** Longest value that a message repeats in full, in characters. */
const SHOWN = 64;

/**
 * Makes a user's value safe for a log line or a terminal: quoted, cut at 64 characters, and with everything but
 * printable ASCII escaped (control characters and text direction marks can forge output).
 */
export function quote(value: string): string {
  const cut = value.length > SHOWN ? `${value.slice(0, SHOWN)}…` : value;
  const escaped = cut.replace(/[^\x20-\x7e…]|["\\]/g, (c) =>
    c === '"' || c === "\\" ? `\\${c}` : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `"${escaped}"`;
}

/**
 * Writes a rate as `10 Mbit/s`, `1.5 Gbit/s` or `8 kbit/s`. It is never rounded: a rate without a short form is written
 * in bit/s.
 */
export function formatRate(bits: number): string {
  for (const [unit, size] of [
    ["Tbit/s", 1e12],
    ["Gbit/s", 1e9],
    ["Mbit/s", 1e6],
    ["kbit/s", 1e3],
  ] as const) {
    const step = size / 1000;
    if (bits >= size && bits % step === 0) return `${bits / step / 1000} ${unit}`;
  }
  return `${bits} bit/s`;
}

/** A result that is either a value or the reason why there is none. */
export type Result<T> = { ok: true; value: T } | { ok: false; reason: string };

export const good = <T>(value: T): Result<T> => ({ ok: true, value });
export const bad = <T>(reason: string): Result<T> => ({ ok: false, reason });
