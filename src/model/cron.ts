import { bad, good, quote, type Result } from "./text.ts";
import { zoned } from "./time-zone.ts";

/** A cron schedule: times of the calendar, or a period. */
export type Schedule = CalendarSchedule | { every: number };

/** The minutes, hours, days, months and weekdays that a schedule names. */
export interface CalendarSchedule {
  minutes: ReadonlySet<number>;
  hours: ReadonlySet<number>;
  days: ReadonlySet<number>;
  months: ReadonlySet<number>;
  weekdays: ReadonlySet<number>;
  /** If both day and weekday are restricted, either may match. */
  eitherDay: boolean;
}

const MACROS: Record<string, string> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const MONTHS = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTE = 60_000;
/** Search limit for a schedule that never matches (30 February), minutes: five years. */
const HORIZON = 5 * 366 * 24 * 60;

/**
 * Reads a cron schedule as Kubernetes does: five fields with lists, ranges, steps and names, a macro, or `@every` and a
 * duration of Go.
 */
export function parseSchedule(text: string): Result<Schedule> {
  if (text.startsWith("@every ")) return parseEvery(text);
  if (/^(CRON_)?TZ=/.test(text)) return bad(`${quote(text)} names a time zone: write that in timeZone`);
  const fields = (Object.hasOwn(MACROS, text) ? (MACROS[text] as string) : text).trim().split(/[ \t]+/);
  if (fields.length !== 5 || text.length > 256) {
    return bad(
      `${quote(text)} is not a schedule; write five fields (minute hour day month weekday), @hourly or @every 5m`,
    );
  }
  const [minutes, hours, days, months, weekdays] = [
    parseField(fields[0] as string, 0, 59, []),
    parseField(fields[1] as string, 0, 23, []),
    parseField(fields[2] as string, 1, 31, []),
    parseField(fields[3] as string, 1, 12, MONTHS),
    parseField(fields[4] as string, 0, 7, WEEKDAYS),
  ];
  for (const field of [minutes, hours, days, months, weekdays]) {
    if (field && !field.ok) return bad(`${quote(text)}: ${field.reason}`);
  }
  if (!minutes?.ok || !hours?.ok || !days?.ok || !months?.ok || !weekdays?.ok)
    return bad(`${quote(text)} is not a schedule`);
  const sundays = new Set([...weekdays.value].map((day) => day % 7));
  const eitherDay = !isOpen(fields[2] as string) && !isOpen(fields[4] as string);
  return good({
    minutes: minutes.value,
    hours: hours.value,
    days: days.value,
    months: months.value,
    weekdays: sundays,
    eitherDay,
  });
}

/** Whether a field restricts nothing. As in Kubernetes, `*` among its parts does not, `*` with a step above 1 does. */
function isOpen(field: string): boolean {
  return field.split(",").some((part) => /^[*?](\/0*1)?$/.test(part));
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 36e5,
};
const SECOND = 1000;
/** 292 years, as in Go. */
const LONGEST_PERIOD = 2 ** 63 / 1e6;

/** Rounded to seconds, at least one. */
function parseEvery(text: string): Result<Schedule> {
  const written = text.slice("@every ".length);
  const parts = [...written.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)];
  const length = parts.reduce((sum, [, number, unit = ""]) => sum + Number(number) * (UNITS[unit] ?? 0), 0);
  const whole = parts.map(([part]) => part).join("") === written && parts.length > 0;
  if (!whole || length > LONGEST_PERIOD)
    return bad(`${quote(text)} is not a schedule; write @every 5m or @every 1h30m`);
  return good({ every: Math.max(SECOND, Math.floor(length / SECOND) * SECOND) });
}

function parseField(text: string, least: number, most: number, names: readonly string[]): Result<Set<number>> {
  const values = new Set<number>();
  for (const part of text.split(",")) {
    const range = parseRange(part, least, most, names);
    // Sunday is 0 and 7: an open range ends before the second
    if (range?.open && names === WEEKDAYS) range.to = 6;
    if (!range) return bad(`${quote(part)} is not a value, range or step within ${least}-${most}`);
    for (let value = range.from; value <= range.to; value += range.step) values.add(value);
  }
  return good(values);
}

function parseRange(part: string, least: number, most: number, names: readonly string[]) {
  const match = /^([*?]|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d{1,4}))?$/i.exec(part);
  if (!match) return undefined;
  const [, first = "", last, every] = match;
  const number = (word: string) => (/^\d{1,2}$/.test(word) ? Number(word) : names.indexOf(word.toLowerCase()));
  const all = first === "*" || first === "?";
  if (all && last !== undefined) return undefined;
  const from = all ? least : number(first);
  // `5/10` means every ten, from 5
  const open = last === undefined && (all || every !== undefined);
  const to = last === undefined ? (open ? most : from) : number(last);
  const step = Number(every ?? 1);
  return from >= least && to <= most && from <= to && step > 0 ? { from, to, step, open } : undefined;
}

/** Other inputs of a schedule's times. */
export interface ScheduleBase {
  /** Start of the first period, ms since the epoch. */
  since: number;
  /** IANA name; UTC if left out. */
  timeZone?: string | undefined;
}

/** The first time after `after` that the schedule names, both ms since the epoch; undefined if there is none. */
export function nextTime(schedule: Schedule, after: number, { since, timeZone }: ScheduleBase): number | undefined {
  if ("every" in schedule) {
    const periods = Math.floor(Math.max(0, after - since) / schedule.every) + 1;
    return since + periods * schedule.every;
  }
  return timeZone === undefined
    ? nextWall(schedule, after)
    : zoned(timeZone, after, (wall) => nextWall(schedule, wall));
}

/** Likewise for a clock without time zone. */
function nextWall(schedule: CalendarSchedule, after: number): number | undefined {
  let minute = Math.floor(after / MINUTE) + 1;
  for (const end = minute + HORIZON; minute < end; ) {
    const at = new Date(minute * MINUTE);
    if (!dayMatches(schedule, at)) minute += 24 * 60 - (at.getUTCHours() * 60 + at.getUTCMinutes());
    else if (!schedule.hours.has(at.getUTCHours())) minute += 60 - at.getUTCMinutes();
    else if (!schedule.minutes.has(at.getUTCMinutes())) minute += 1;
    else return minute * MINUTE;
  }
  return undefined;
}

function dayMatches(schedule: CalendarSchedule, at: Date): boolean {
  if (!schedule.months.has(at.getUTCMonth() + 1)) return false;
  const day = schedule.days.has(at.getUTCDate());
  const weekday = schedule.weekdays.has(at.getUTCDay());
  return schedule.eitherDay ? day || weekday : day && weekday;
}
