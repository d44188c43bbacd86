import { parseRate } from "../../model/bandwidth.ts";
import { isAddress } from "../../model/ip.ts";
import { meantDirection, meantQuantity } from "../../model/meant.ts";
import { quote } from "../../model/text.ts";
import { bothPercents, parseDuration, parsePercent } from "../../model/units.ts";
import { type Hint, type Issue, inWords } from "../../model/wording.ts";

/** Hints for fields of Weir's kinds: what to write, and what a value of another type was meant to be. */

/** A number with the unit appended, if that is valid. */
const withUnit = (value: unknown, unit: string, parse: (text: string) => { ok: boolean }): string | undefined => {
  const text = `${value}${unit}`;
  return typeof value === "number" && parse(text).ok ? quote(text) : undefined;
};

export const percentage: Hint = {
  what: 'a percentage such as "2%"',
  meant: (value) => {
    if (typeof value !== "number") return undefined;
    return bothPercents(String(value)) ?? withUnit(value, "%", parsePercent);
  },
};

export const duration = (example: string): Hint => ({
  what: `a duration such as ${quote(example)}`,
  meant: (value) => withUnit(value, example.replace(/\d/g, ""), parseDuration),
});

const SUFFIXES: readonly (readonly [string, number])[] = [
  ["G", 1e9],
  ["M", 1e6],
  ["k", 1e3],
];
/** 10000000 → "10M"; a value below the smallest rate is taken for megabits. */
const rateOf = (bits: number): string | undefined => {
  const [suffix, size] = SUFFIXES.find(([, size]) => bits >= size && bits % size === 0) ?? ["", 1];
  return [`${bits / size}${suffix}`, meantQuantity(String(bits)) ?? ""].find((text) => parseRate(text).ok);
};
export const rate: Hint = {
  what: 'a rate such as "10M", in bits a second',
  meant: (value) => {
    const text = typeof value === "number" ? rateOf(value) : undefined;
    return text && quote(text);
  },
};

export const network: Hint = { what: 'a network such as "10.0.0.0/8", one address as "10.0.0.1/32"' };

export const delay: Hint = {
  what: "fields of latency and jitter, such as {latency: 50ms, jitter: 10ms}",
  meant: (value) => {
    if (typeof value === "string" && parseDuration(value).ok) return `{latency: ${value}}`;
    const ms = withUnit(value, "ms", parseDuration);
    return ms && `{latency: ${ms}}`;
  },
};

export const exponential: Hint = {
  what: "{threshold: 0 to 1000}",
  meant: (value) => (typeof value === "number" ? `{threshold: ${value}}` : undefined),
};

const isPort = (value: unknown): boolean => /^\d{1,5}$/.test(String(value));
export const port: Hint = {
  what: "fields of protocol, port and endPort, such as {protocol: TCP, port: 443}",
  meant: (value) => (isPort(value) ? `{protocol: TCP, port: ${value}}` : undefined),
};
export const ports: Hint = {
  what: "a list such as [{protocol: TCP, port: 443}]",
  meant: (value) => (isPort(value) ? `[{protocol: TCP, port: ${value}}]` : undefined),
};

const networkOf = (value: unknown): string | undefined => {
  if (typeof value !== "string" || !/^[0-9a-f.:]{2,39}(\/\d{1,3})?$/i.test(value)) return undefined;
  if (!isAddress(value)) return value.includes("/") ? value : undefined;
  return `${value}/${value.includes(":") ? 128 : 32}`;
};
export const peer: Hint = {
  what: "fields such as {cidr: 10.0.0.0/8}, {podSelector: {matchLabels: {app: web}}} or {service: {name: web}}",
  meant: (value) => {
    const cidr = networkOf(value);
    return cidr && `{cidr: ${quote(cidr)}}`;
  },
};
export const peers: Hint = {
  what: "a list such as [{cidr: 10.0.0.0/8}]",
  meant: (value) => {
    const one = peer.meant?.(value);
    return one && `[${one}]`;
  },
};

export const service: Hint = {
  what: "fields of name and namespace, such as {name: web}",
  meant: (value) => (typeof value === "string" ? `{name: ${quote(value)}}` : undefined),
};

export const pod: Hint = { what: 'the name of one pod, such as "web-0"; labels choose several, by selector' };
export const serviceName: Hint = { what: 'a name such as "web"' };

/** The error of a selector: labels in Services' selectors are not below `matchLabels`. */
export const selector = (issue: Issue): string | undefined => {
  const said = inWords(issue);
  const [key] = issue.keys ?? [];
  if (issue.code !== "unrecognized_keys" || said === undefined || key === undefined) return said;
  return said.includes("did you mean")
    ? said
    : `${said}; a label goes below matchLabels: {matchLabels: {${quote(key)}: …}}`;
};

export const direction = (issue: Issue): string | undefined => {
  const { input } = issue;
  const way = typeof input === "string" ? meantDirection(input) : undefined;
  return way ? `${quote(String(input))} is none of ingress, egress, both; did you mean ${way}?` : inWords(issue);
};
