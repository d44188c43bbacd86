import { describe, expect, it } from "vitest";
import { nextTime, parseSchedule } from "./cron.ts";

const next = (text: string, after: string): string => {
  const schedule = parseSchedule(text);
  if (!schedule.ok) return schedule.reason;
  const time = nextTime(schedule.value, Date.parse(after));
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
  ])("%s after %s is %s", (text, after, expected) => expect(next(text, after)).toBe(expected));

  it.each([
    "",
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
});
