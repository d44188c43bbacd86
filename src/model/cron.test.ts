import { describe, expect, it } from "vitest";
import { nextTime, parseSchedule } from "./cron.ts";

const next = (text: string, after: string, timeZone?: string): string => {
  const schedule = parseSchedule(text);
  if (!schedule.ok) return schedule.reason;
  const time = nextTime(schedule.value, Date.parse(after), { since: Date.parse("2026-01-01T00:00:10Z"), timeZone });
  return time === undefined ? "never" : new Date(time).toISOString().slice(0, 16);
};

describe("nextTime", () => {
  it.each([
    ["* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01"],
    ["* * * * *", "2026-01-01T00:00:59Z", "2026-01-01T00:01"],
    ["*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30"],
    ["0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00"],
    ["@hourly", "2026-01-01T23:30:00Z", "2026-01-02T00:00"],
    ["30 4 1,15 * *", "2026-01-02T00:00:00Z", "2026-01-15T04:30"],
    ["0 0 * * mon-fri", "2026-01-02T00:00:00Z", "2026-01-05T00:00"],
    ["0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00"],
    ["0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00"],
    ["0 0 29 feb *", "2026-01-01T00:00:00Z", "2028-02-29T00:00"],
    ["0 0 30 2 *", "2026-01-01T00:00:00Z", "never"],
    ["5/20 0-2/2 * JAN ?", "2026-01-01T00:05:00Z", "2026-01-01T00:25"],
    // a step makes a field one that restricts: either day is enough
    ["0 0 */3 * 0", "2026-11-28T12:00:00Z", "2026-11-29T00:00"],
    ["0 0 */3 * 0", "2026-11-29T12:00:00Z", "2026-12-01T00:00"],
    ["0 0 13 * */2", "2026-11-08T00:00:00Z", "2026-11-10T00:00"],
    ["0 0 */1 * fri", "2026-11-08T00:00:00Z", "2026-11-13T00:00"],
    ["0 0 1,* * fri", "2026-11-08T00:00:00Z", "2026-11-13T00:00"],
    ["0 0 * * 3/4", "2026-11-04T00:00:00Z", "2026-11-11T00:00"],
    ["*/100 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T01:00"],
    ["@every 1m", "2026-01-01T00:00:10Z", "2026-01-01T00:01"],
    ["@every 1h30m", "2026-01-01T03:00:00Z", "2026-01-01T03:00"],
    ["@every 1.5h", "2026-01-01T03:00:10Z", "2026-01-01T04:30"],
    ["@every 10ms", "2026-01-01T00:00:59Z", "2026-01-01T00:01"],
  ])("%s after %s is %s", (text, after, expected) => expect(next(text, after)).toBe(expected));

  it.each([
    ["0 3 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-01T02:00"],
    ["0 3 * * *", "America/New_York", "2026-07-01T00:00:00Z", "2026-07-01T07:00"],
    ["0 0 1 * *", "Asia/Kathmandu", "2026-01-15T00:00:00Z", "2026-01-31T18:15"],
    // clocks are put forward from 2:00 to 3:00 on 29 March, back from 3:00 to 2:00 on 25 October
    ["30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30"],
    ["0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00"],
    ["30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30"],
    ["30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30"],
    ["30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-26T01:30"],
    ["0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:00"],
    ["0 12 1 7 *", "America/New_York", "2026-01-01T00:00:00Z", "2026-07-01T16:00"],
    ["0 0 30 2 *", "Europe/Berlin", "2026-01-01T00:00:00Z", "never"],
  ])("%s in %s after %s is %s", (text, zone, after, expected) => expect(next(text, after, zone)).toBe(expected));

  it.each([
    "",
    "@every",
    "@every 5",
    "@every m",
    "@every 1m x",
    "@every 9999999999h",
    "* * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "*/0 * * * *",
    "5-1 * * * *",
    "*-5 * * * *",
    "x * * * *",
    "@reboot",
    "* * * foo *",
    "1,,2 * * * *",
  ])("refuses %j", (text) =>
    expect(parseSchedule(text)).toMatchObject({ ok: false, reason: expect.stringContaining('"') }),
  );
  it.each(["CRON_TZ=UTC * * * * *", "TZ=Europe/Berlin 0 3 * * *"])("names the field for the zone of %j", (text) =>
    expect(parseSchedule(text)).toMatchObject({
      ok: false,
      reason: `"${text}" names a time zone: write that in timeZone`,
    }),
  );
});
