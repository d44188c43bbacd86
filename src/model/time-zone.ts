const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** Names are an author's, and case does not count in them: no more are kept than a machine has in use. */
const MOST_FORMATS = 64;
const formats = new Map<string, Intl.DateTimeFormat>();

/** Is it an IANA name of a time zone that this program knows, e.g. `Europe/Berlin`? */
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

/** What a zone's clocks are ahead of UTC at a time, ms. */
function offsetAt(timeZone: string, time: number): number {
  const text = formatOf(timeZone)
    .formatToParts(time)
    .find(({ type }) => type === "timeZoneName")?.value;
  const [, sign, hours = 0, minutes = 0, seconds = 0] = /^GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(text ?? "") ?? [];
  const offset = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return sign === "-" ? -offset : offset;
}

/**
 * Finds a time by a zone's clocks: `next` gives the first one after another by a clock that is never set. Where clocks
 * are put forward, times that they leave out do not come; where they are put back, times come twice.
 * @param after ms since the epoch, as the result
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

/** The first whole minute from which a zone's clocks are not `offset` ahead any more; undefined if they are until `end`. */
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
