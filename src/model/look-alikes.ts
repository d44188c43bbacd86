import { parseRate } from "./bandwidth.ts";
import { LOSS_KEYS } from "./impairments.ts";
import { RULE_KEYS, type RuleSettings } from "./limits.ts";
import type { Metadata } from "./objects.ts";
import { ONE_OFF } from "./one-off.ts";
import { PROGRAM_KEYS } from "./programs.ts";
import { closest, distance } from "./suggest.ts";
import { quote } from "./text.ts";

/** A label or annotation that looks like a rule and is none. */
export interface LookAlike {
  map: "labels" | "annotations";
  key: string;
  /** Why it has no effect, and what may have been meant. */
  message: string;
}

/** Where rules have an effect: on the object itself, or at another place. */
export type Where = { here: true } | { here: false; kind: string; instead: string };

interface Known {
  map: "labels" | "annotations";
  key: string;
  prefix: string;
  name: string;
  /** Its words in alphabetical order, so that `bandwidth-ingress` matches `ingress-bandwidth`. */
  words: string;
  fits(value: string, settings: RuleSettings): boolean;
  setting?: keyof RuleSettings | undefined;
}

/** Limits on keys checked and look-alikes reported per map: authors can write a quarter of a megabyte. */
const MOST_KEYS = 200;
const MOST_TOLD = 5;
/** Longest key that can be one: none of ours is half as long. */
const LONGEST = 80;
/** A name of so many letters is no ordinary word: two slips are forgiven, and its value need not fit. */
const LONG_NAME = 12;

/** Keys with Weir's prefix are always meant for Weir: any other key with it is reported. */
const OWN = "weir.dev";
const NO_RULES: readonly string[] = [ONE_OFF, "weir.dev/lab", "weir.dev/lab-machine"];

const squash = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, "");
const wordsOf = (name: string): string =>
  name
    .replace(/[a-z](?=[A-Z])/g, "$&-")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .sort()
    .join(" ");

function split(key: string): [prefix: string, name: string] {
  const at = key.lastIndexOf("/");
  return at < 0 ? ["", key] : [key.slice(0, at), key.slice(at + 1)];
}

const KNOWN: readonly Known[] = [...RULE_KEYS, ...LOSS_KEYS, ...PROGRAM_KEYS].map(({ map, key, setting, parse }) => {
  const [prefix, name] = split(key);
  const isRate = RULE_KEYS.some((one) => one.key === key);
  const fits = (value: string, settings: RuleSettings): boolean =>
    parse(value, settings).ok || (isRate && parseRate(value).ok);
  return { map, key, prefix, name: squash(name), words: wordsOf(name), fits, setting };
});
const PREFIXES = [...new Set(KNOWN.map(({ prefix }) => prefix).filter(Boolean)), "k8s.io"];

/**
 * Finds keys that are similar to a rule's: misspelt, in other case, among labels instead of annotations, or on an
 * object whose keys have no effect. Ignores other tools' keys (whose domain is not similar to a known one), ordinary
 * words, and disabled keys. Pure; its cost is bounded.
 */
export function lookAlikes(
  metadata: Partial<Pick<Metadata, "labels" | "annotations">>,
  settings: RuleSettings,
  where: Where = { here: true },
): LookAlike[] {
  const found: LookAlike[] = [];
  for (const map of ["annotations", "labels"] as const) {
    for (const [key, value] of Object.entries(metadata[map] ?? {}).slice(0, MOST_KEYS)) {
      const message = typeof value === "string" ? judge(map, key, value, settings, where) : undefined;
      if (message !== undefined) found.push({ map, key, message });
      if (found.length === MOST_TOLD) return found;
    }
  }
  return found;
}

function judge(
  map: Known["map"],
  key: string,
  value: string,
  settings: RuleSettings,
  where: Where,
): string | undefined {
  if (key.length > LONGEST) return undefined;
  const same = KNOWN.filter((one) => one.key === key);
  const [first] = same;
  if (same.some((one) => one.setting !== undefined && !settings[one.setting])) return undefined;
  if (first && same.some((one) => one.map === map)) {
    if (where.here || !isMeant(first, value, settings)) return undefined;
    return `does nothing on a ${where.kind} itself; write it in ${where.instead}.${map}`;
  }
  if (first) {
    if (!isMeant(first, value, settings)) return undefined;
    return `does nothing as ${article(map)}; write it as ${article(first.map)}${elsewhere(where)}`;
  }
  const near = nearest(map, key, value, settings) ?? ownNearest(key);
  if (near) return `does nothing; did you mean the ${noun(near.map)} ${quote(near.key)}${elsewhere(where)}?`;
  return isOwn(key) ? `does nothing: Weir has no such key; its own are ${OWN_KEYS.join(", ")}` : undefined;
}

const noun = (map: Known["map"]): string => map.slice(0, -1);
const article = (map: Known["map"]): string => (map === "labels" ? "a label" : "an annotation");
const elsewhere = (where: Where): string => (where.here ? "" : ` in ${where.instead}`);

/**
 * Whether the key is certainly meant as a rule: its prefix is one of ours, or its value fits. `rate: gold` may be
 * anyone's.
 */
const isMeant = (known: Known, value: string, settings: RuleSettings): boolean =>
  known.prefix !== "" || known.fits(value, settings);

const OWN_RULES = KNOWN.filter(({ prefix }) => prefix === OWN);
const OWN_KEYS = OWN_RULES.map(({ key }) => key);

const isOwn = (key: string): boolean => {
  const [prefix, name] = split(key);
  return prefix.toLowerCase() === OWN && name !== "" && !NO_RULES.includes(key);
};

function ownNearest(key: string): Known | undefined {
  if (!isOwn(key)) return undefined;
  const names = OWN_RULES.map(({ name }) => name);
  const best = closest(squash(split(key)[1]), names);
  return OWN_RULES.find(({ name }) => name === best);
}

function nearest(map: Known["map"], key: string, value: string, settings: RuleSettings): Known | undefined {
  const [prefix, name] = split(key);
  const ours = prefixLike(prefix);
  if (ours === undefined) return undefined;
  const squashed = squash(name);
  const words = wordsOf(name);
  const near = KNOWN.filter(({ setting }) => setting === undefined || settings[setting]).flatMap((known) => {
    const slips = words === known.words && squashed !== known.name ? 1 : slipsOf(squashed, known.name);
    if (slips === undefined || (known.name.length < LONG_NAME && !known.fits(value, settings))) return [];
    // same prefix first, then same map; then Kubernetes' own keys, which are the most common
    const rank =
      slips * 8 +
      (known.prefix === ours ? 0 : 4) +
      (known.map === map ? 0 : 2) +
      (known.prefix === "kubernetes.io" ? 0 : 1);
    return [{ known, rank }];
  });
  return near.sort((a, b) => a.rank - b.rank)[0]?.known;
}

/** Whether a key is certainly another tool's: it is no rule, and no look-alike of one. */
export const isForeign = (key: string): boolean => prefixLike(split(key)[0]) === undefined;

/** The known prefix that is similar; empty: no prefix; undefined: another tool's. */
function prefixLike(prefix: string): string | undefined {
  if (prefix === "") return "";
  const lower = prefix.toLowerCase();
  const best = PREFIXES.find((one) => one === lower) ?? PREFIXES.find((one) => (slipsIn(lower, one, 2) ?? 3) <= 2);
  return best === "k8s.io" ? "kubernetes.io" : best;
}

/** The number of typing errors between two names, if few enough. */
function slipsOf(name: string, known: string): number | undefined {
  if (known.length >= LONG_NAME) return slipsIn(name, known, 2);
  return slipsIn(name, known, known.length > 6 ? 1 : 0);
}

function slipsIn(text: string, known: string, most: number): number | undefined {
  if (Math.abs(text.length - known.length) > most) return undefined;
  const slips = distance(text, known);
  return slips <= most ? slips : undefined;
}
