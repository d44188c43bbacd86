/** Formatting of values for people. */

const units = [
  ["Tbit/s", 1e12],
  ["Gbit/s", 1e9],
  ["Mbit/s", 1e6],
  ["kbit/s", 1e3],
] as const;

/** A rate in bit/s as `10 Mbit/s`, to four digits; `-` if there is none. */
export function formatRate(bits: number | null): string {
  if (bits === null) return "-";
  // 999,960 would round to 1000 kbit/s
  const rounded = Number(bits.toPrecision(4));
  const [name, size] = units.find(([, size]) => rounded >= size) ?? ["bit/s", 1];
  return `${Number((rounded / size).toPrecision(4))} ${name}`;
}

/** Makes untrusted text safe for a terminal: escapes control and formatting characters. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code === 10 ? "\\n" : `\\u{${code.toString(16)}}`;
  });
}

/** Compares with numbers by value: `node-2` before `node-10`. */
export function naturally(a: string, b: string): number {
  collator ??= new Intl.Collator("en", { numeric: true });
  return collator.compare(a, b);
}
/** Created at first use, since it loads 3 MB of tables. */
let collator: Intl.Collator | undefined;

/** A share of packets as `2.01 %`, to three digits; `-` if there is none. */
export function formatShare(share: number | null): string {
  return share === null ? "-" : `${Number((100 * share).toPrecision(3))} %`;
}

/** `1.9 % – 2.1 %`. */
export function formatInterval(low: number | null, high: number | null): string {
  return low === null || high === null ? "-" : `${formatShare(low)} – ${formatShare(high)}`;
}
