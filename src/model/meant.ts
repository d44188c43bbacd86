import { closest } from "./suggest.ts";
import { bad, quote, type Result } from "./text.ts";

/**
 * Guesses what an almost valid value was meant to be. Guesses are only suggested, and only if they are valid. Texts are
 * untrusted; parsers bound their length.
 */

/** Longer texts are not guessed. */
const LONGEST = 256;

/** The result of `read`; an error ends with `(did you mean …?)` if the guess is valid. */
export function orMeant<T>(
  text: string,
  read: (text: string) => Result<T>,
  guess: (text: string) => string | undefined,
): Result<T> {
  const result = read(text);
  if (result.ok || text.length > LONGEST) return result;
  const meant = guess(text);
  return meant !== undefined && read(meant).ok ? bad(`${result.reason} (did you mean ${quote(meant)}?)`) : result;
}

const DURATIONS: Readonly<Record<string, RegExp>> = {
  us: /^(us|µs|μs|usecs?|micros?|microsecs?|microseconds?)$/,
  ms: /^(ms|msecs?|millis?|millisecs?|milliseconds?)$/,
  s: /^(s|secs?|seconds?)$/,
  m: /^(m|mins?|minutes?)$/,
  h: /^(h|hrs?|hours?)$/,
};
const DAY = /^(d|days?)$/;
const AMOUNT = /^(\d{1,9}(?:[.,]\d{1,9})?)\s*(\D{0,16})$/;

/** `5min`, `5 minutes`, `1d` → `5m`, `5m`, `24h`; a number without unit gets `unit`. */
export function meantDuration(text: string, unit: string): string | undefined {
  const [, number = "", word = ""] = AMOUNT.exec(text.trim().toLowerCase()) ?? [];
  const amount = number.replace(",", ".");
  if (amount === "") return undefined;
  if (DAY.test(word)) return `${Number(amount) * 24}h`;
  const known = word === "" ? unit : Object.keys(DURATIONS).find((name) => DURATIONS[name]?.test(word));
  return known && `${amount}${known}`;
}

/** `5`, `5 %`, `5,5%`, `5 percent` → `5%`, `5%`, `5.5%`, `5%`. */
export function meantPercent(text: string): string | undefined {
  const [, number = "", word = ""] = AMOUNT.exec(text.trim().toLowerCase()) ?? [];
  return number !== "" && /^(|%|percent|pct|per cent)$/.test(word) ? `${number.replace(",", ".")}%` : undefined;
}

const RATE = /^(\d{1,20}(?:[.,]\d{1,9})?)\s*([kmgt]?)(?:b|bits?|bps|bits?\/s|bits?\/sec|bits?ps)?$/i;
const SUFFIXES: Readonly<Record<string, string>> = { k: "k", m: "M", g: "G", t: "T" };
/** A capital B is a byte. */
const BYTES = /B/;

/** `10m`, `10Mbit`, `10 mbps egress`, `100K`, `10` → `10M`, `10M`, `10M`, `100k`, `10M`. No guess for bytes. */
export function meantQuantity(text: string): string | undefined {
  const rate = split(text).others.join("");
  const [, number = "", prefix = ""] = RATE.exec(rate) ?? [];
  if (number === "" || BYTES.test(rate)) return undefined;
  return `${number.replace(",", ".")}${SUFFIXES[prefix.toLowerCase()] ?? "M"}`;
}

const INGRESS = /^(in|inbound|receive|received|rx|download|down)$/;
const EGRESS = /^(out|outbound|send|sent|tx|upload|up)$/;

/** `out`, `egres` → `egress`. */
export function meantDirection(word: string): "ingress" | "egress" | undefined {
  const lower = word.toLowerCase();
  if (INGRESS.test(lower)) return "ingress";
  return EGRESS.test(lower) ? "egress" : closest(lower, ["ingress", "egress"]);
}

/** Splits a value's words into its direction and the others, in order. */
function split(text: string): { direction: string | undefined; others: string[] } {
  const words = text.split(/\s+/).filter((word) => word !== "");
  const at = words.findIndex((word) => meantDirection(word) !== undefined);
  return {
    direction: at < 0 ? undefined : meantDirection(words[at] ?? ""),
    others: words.filter((_, index) => index !== at),
  };
}

const WORDS: Readonly<Record<string, readonly [unit: string, factor: number]>> = {
  k: ["kbits", 1],
  m: ["mbps", 1],
  g: ["mbps", 1000],
  t: ["mbps", 1_000_000],
};

/** `10mbps out`, `egress 10 Mbit`, `1.5 mbps egress` → `10 mbps egress`, `10 mbps egress`, `1500 kbits egress`. */
export function meantBandwidth(text: string): string | undefined {
  const { direction, others } = split(text);
  const rate = others.join("");
  const [, number = "", prefix = ""] = RATE.exec(rate) ?? [];
  const [unit, factor] = WORDS[prefix.toLowerCase()] ?? ["bps", 1];
  if (number === "" || BYTES.test(rate)) return undefined;
  const amount = Number(number.replace(",", ".")) * factor;
  const way = direction ?? "egress";
  if (Number.isInteger(amount)) return `${amount} ${unit} ${way}`;
  return unit === "mbps" ? `${Number((amount * 1000).toFixed(6))} kbits ${way}` : undefined;
}

/** `2%`, `egress uniform 2`, `2% out` → `uniform egress 2%`. */
export function meantLoss(text: string): string | undefined {
  const { direction, others } = split(text);
  const model = others.find((word) => /^[a-z]{3,}$/i.test(word) && meantPercent(`0${word}`) === undefined);
  const amount = others.filter((word) => word !== model).join("");
  const known = model === undefined ? "uniform" : closest(model, ["uniform", "exponential"]);
  if (known === undefined) return undefined;
  const value = known === "uniform" ? meantPercent(amount) : amount;
  return value && `${known} ${direction ?? "egress"} ${value}`;
}

/** `egress drop`, `Drop egress N=1`, `drop egress -D N=1` → `drop egress`, `drop egress -DN=1`, `drop egress -DN=1`. */
export function meantProgram(text: string): string | undefined {
  const { direction, others } = split(text);
  const [name, ...macros] = others.filter((word) => word !== "-D");
  if (name === undefined || direction === undefined) return undefined;
  const given = macros.map((word) => (word.startsWith("-D") ? word : `-D${word}`));
  return [name.toLowerCase().replaceAll("_", "-"), direction, ...given].join(" ");
}
