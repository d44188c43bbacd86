const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** Most formatters to cache. Names come from users and are not case-sensitive, so the cache must be bounded. */
const MOST_FORMATS = 64;
const formats = new Map<string, Intl.DateTimeFormat>();

/** True if the runtime knows this IANA time zone name, e.g. `Europe/Berlin`. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+)*$/.test(name)) return false;
  try {
    return formatOf(name) !== undefined;
  } catch {
    return false;
  }
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
  if (formats.size >= MOST_FORMATS) formats.clear();
  formats.set(timeZone, made);
  return made;
}

/** The UTC offset of a time zone at a time, ms. */
function offsetAt(timeZone: string, time: number): number {
  const text = formatOf(timeZone)
    .formatToParts(time)
    .find(({ type }) => type === "timeZoneName")?.value;
  const [, sign, hours = 0, minutes = 0, seconds = 0] = /^GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(text ?? "") ?? [];
  const offset = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return sign === "-" ? -offset : offset;
}

/**
 * Finds a time on the clocks of a time zone. `next` gives the next matching time after another one on a clock without
 * offset changes. Local times that a change skips do not match; local times that occur twice match twice.
 */
export function zoned(timeZone: string, after: number, next: (wall: number) => number | undefined): number | undefined {
  let from = after;
  for (;;) {
    const offset = offsetAt(timeZone, from + MINUTE);
    const wall = next(from + offset);
    if (wall === undefined) return undefined;
    const found = wall - offset;
    const change = changeBetween(timeZone, from + MINUTE, found, offset);
    if (change === undefined) return found;
    from = change - MINUTE;
  }
}

/**
 * The first whole minute at which the zone's UTC offset is no longer `offset`; undefined if it does not change before
 * `end`.
 */
function changeBetween(timeZone: string, start: number, end: number, offset: number): number | undefined {
  for (let before = start; before < end; before += DAY) {
    let after = Math.min(before + DAY, end);
    if (offsetAt(timeZone, after) === offset) continue;
    let same = before;
    while (after - same > MINUTE) {
      const middle = Math.floor((same + after) / 2 / MINUTE) * MINUTE;
      if (middle <= same) break;
      if (offsetAt(timeZone, middle) === offset) same = middle;
      else after = middle;
    }
    return Math.floor(after / MINUTE) * MINUTE;
  }
  return undefined;
}
