import { describe, expect, test } from "vitest";
import { evaluateStep, judgeStep, type Step, type StepResult, stepName } from "./step.ts";
import { allSteps } from "./steps.ts";

const step: Step = {
  from: 80e6,
  to: 20e6,
  direction: "ingress",
  where: "same",
  how: "annotation",
  protocol: "tcp",
  congestion: "cubic",
  flows: 8,
};

test("all ordered pairs, directions, places, ways to write and loads; UDP up to 500 Mbit/s", () => {
  const all = allSteps();
  const of = (protocol: string): number => all.filter((one) => one.protocol === protocol).length;
  expect([of("tcp"), of("udp")]).toEqual([8 * 7 * 8 * 4, 6 * 5 * 8]);
  expect(new Set(all.map(stepName)).size).toBe(all.length);
  expect(stepName(step)).toBe("80M→20M ingress same annotation cubic×8");
});

/** Readings every 20 ms from 1 s before the edit at 1000 on; `rate` in bit/s by ms after the edit. */
function seen(rate: (ms: number) => number, limited = true) {
  let bytes = 0;
  const readings = Array.from({ length: 460 }, (_, i) => {
    const time = 20 * i;
    bytes += (rate(time - 1000) / 8) * 0.02;
    return { time, limit: limited ? bytes : null, received: bytes };
  });
  return { readings, edited: 1000, pauses: [], unlimited: 10e9 };
}

describe("evaluation of a case's readings", () => {
  test.each([
    ["the new rate from the third second on", () => (ms: number) => (ms < 2900 ? 80e6 : 20.3e6), "holds"],
    ["2.5 % more", () => () => 20.5e6, "misses"],
    ["nothing for 1.2 s", () => (ms: number) => (ms > 1000 && ms < 2200 ? 0 : 20e6), "misses"],
    ["nothing for ever", () => (ms: number) => (ms > 0 ? 0 : 20e6), "misses"],
  ])("%s", (_, rate, verdict) => {
    expect(judgeStep(evaluateStep(step, seen(rate())))).toMatchObject({ verdict });
  });

  test("UDP is judged from the first second, without gaps", () => {
    const udp = { ...step, protocol: "udp" as const };
    const late = seen((ms) => (ms < 2900 ? 80e6 : 20e6));
    expect(judgeStep(evaluateStep(udp, late)).verdict).toBe("misses");
    expect(
      judgeStep(
        evaluateStep(
          udp,
          seen((ms) => (ms < 950 ? 80e6 : 20e6)),
        ),
      ).verdict,
    ).toBe("holds");
  });

  test("to unlimited: a share of the load's rate without a limit, at the receiver", () => {
    const free = { ...step, to: null };
    const shared = (share: number) => ({ ...seen(() => share * 1e9, false), unlimited: 1e9 });
    expect(judgeStep(evaluateStep(free, shared(0.91))).verdict).toBe("holds");
    expect(judgeStep(evaluateStep(free, shared(0.89))).verdict).toBe("misses");
  });

  test("BBR's pauses are excluded from 2 Gbit/s on, and only there", () => {
    const pauses = [{ start: 5000, end: 5200 }];
    const course = (to: number) => ({ ...seen((ms) => (ms > 4000 && ms < 4200 ? 0 : to)), pauses });
    const bbr = { ...step, congestion: "bbr" };
    const fast = evaluateStep({ ...bbr, to: 4e9 }, course(4e9));
    expect(judgeStep(fast).verdict).toBe("holds");
    expect(fast.paused).toBe(400);
    expect(judgeStep(evaluateStep({ ...bbr, to: 500e6 }, course(500e6))).verdict).toBe("misses");
    expect(judgeStep(evaluateStep({ ...step, to: 4e9 }, course(4e9))).verdict).toBe("misses");
  });

  test("a rate that the machine cannot carry is only shown; a stall misses", () => {
    const slow = {
      ...evaluateStep(
        { ...step, to: 4e9 },
        seen(() => 3e9),
      ),
      unlimited: 3.1e9,
    } satisfies StepResult;
    expect(judgeStep(slow)).toMatchObject({ verdict: "shown", measured: expect.stringContaining("carries 3.1G") });
    expect(judgeStep({ ...slow, gap: 1500 }).verdict).toBe("misses");
  });
});
