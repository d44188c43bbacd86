import { parseIp } from "ip-bigint";
import { type Cidr, formatAddress, sizeOf } from "./addresses.ts";

/** Sets of addresses. Networks are given and returned as CIDRs; within a set they are ranges, which are cheap to join. */

/** A network without parts of it. */
export interface Cut {
  cidr: string;
  /** Networks that are left out. */
  except?: readonly string[] | undefined;
}

/** Addresses from `first` up to `end`, exclusive. */
interface Range {
  first: bigint;
  end: bigint;
}

/**
 * The smallest set of CIDRs with the same addresses, sorted as text; undefined: more than `most`. Its cost grows with
 * the number of networks given and returned, not with the number of networks that are cut out of which.
 */
export function unite(cuts: Iterable<Cut>, most = Number.POSITIVE_INFINITY): string[] | undefined {
  const ranges = { 4: [] as Range[], 6: [] as Range[] };
  for (const { cidr: text, except = [] } of cuts) {
    const cidr = read(text);
    const left = except.map(read).filter(({ family }) => family === cidr.family);
    for (const one of without(rangeOf(cidr), left.map(rangeOf))) ranges[cidr.family].push(one);
  }
  const found: string[] = [];
  for (const family of [4, 6] as const) {
    for (const range of joined(ranges[family])) {
      for (const cidr of cidrsOf(range, family)) {
        if (found.length === most) return undefined;
        found.push(cidr);
      }
    }
  }
  return found.sort();
}

function rangeOf(cidr: Cidr): Range {
  return { first: cidr.base, end: cidr.base + sizeOf(cidr) };
}

function without({ first, end }: Range, cuts: readonly Range[]): Range[] {
  const left: Range[] = [];
  let from = first;
  for (const cut of joined(cuts)) {
    if (cut.first > from) left.push({ first: from, end: cut.first < end ? cut.first : end });
    if (cut.end > from) from = cut.end;
    if (from >= end) return left.filter((one) => one.first < one.end);
  }
  return [...left, { first: from, end }];
}

/** Ranges with the same addresses, sorted, of which no two touch. */
function joined(ranges: readonly Range[]): Range[] {
  const sorted = ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const found: Range[] = [];
  for (const one of sorted) {
    const last = found.at(-1);
    if (!last || one.first > last.end) found.push({ ...one });
    else if (one.end > last.end) last.end = one.end;
  }
  return found;
}

/** The CIDRs of a range: at each address the largest that is aligned and fits. */
function* cidrsOf({ first, end }: Range, family: 4 | 6): Generator<string> {
  const width = family === 4 ? 32 : 128;
  if (end - first === 1n) {
    yield `${formatAddress(family, first)}/${width}`;
    return;
  }
  for (let at = first; at < end; ) {
    const aligned = at === 0n ? width : bitsOf(at & -at) - 1;
    const bits = Math.min(aligned, bitsOf(end - at) - 1);
    yield `${formatAddress(family, at)}/${width - bits}`;
    at += 1n << BigInt(bits);
  }
}

/** The number of binary digits. */
const bitsOf = (value: bigint): number => value.toString(2).length;

/** Reads a network that was validated before. */
function read(text: string): Cidr {
  const slash = text.indexOf("/");
  const { number, version } = parseIp(text.slice(0, slash));
  return { family: version as 4 | 6, base: number, prefix: Number(text.slice(slash + 1)) };
}
