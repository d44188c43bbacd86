import { expect, test } from "vitest";
import { isResting, measureChange } from "./change.ts";

const marks = (...all: [time: number, cpu: number][]) => all.map(([time, cpu]) => ({ time, cpu }));

test("an agent is idle once it has used almost no CPU time for long enough", () => {
  expect(isResting(marks([0, 0], [30, 10], [60, 10.1], [90, 10.2]), 60)).toBe(true);
  expect(isResting(marks([0, 0], [30, 10], [60, 12], [90, 12.1]), 60)).toBe(false);
  expect(isResting(marks([60, 10], [90, 10]), 60)).toBe(false);
  expect(isResting([], 60)).toBe(false);
  expect(isResting(marks([0, 0], [30, 0.6], [60, 1.2]), 60, 0.02)).toBe(true);
  expect(isResting(marks([0, 0], [30, 0.6], [60, 3]), 60, 0.02)).toBe(false);
});

/** An agent that writes a row and uses 7 ms of CPU as soon as something changes, and 3 ms for its report. */
class FakeAgent {
  readonly idle = 0;
  used = 100;
  row = "old";

  cpu(): number {
    return this.used;
  }

  digest = (): string => this.row;

  change(): void {
    setTimeout(() => {
      this.row = "new";
      this.used += 7;
    }, 5);
    setTimeout(() => {
      this.used += 3;
    }, 120);
  }
}

const PACE = { rest: 30, follow: 120, patience: 5000 };

test("the cost of a change is the CPU time until its rows are written; with its reports, also the time after", async () => {
  const agent = new FakeAgent();
  const { cpu, all, time } = await measureChange(agent, () => agent.change(), PACE);
  expect([7, 10]).toContain(cpu); // a busy machine may be late to look
  expect(all).toBe(10);
  expect(time).toBeGreaterThan(3);
});

test("idle CPU time is subtracted; a change without rows has no time", async () => {
  const { cpu, all, time } = await measureChange({ idle: 0.5, cpu: () => 100 }, () => {}, PACE);
  expect(cpu).toBeLessThanOrEqual(-0.5 * PACE.rest);
  expect(all).toBeLessThanOrEqual(-0.5 * (PACE.rest + PACE.follow));
  expect(time).toBeNull();
});

test("a change that fails is not measured", async () => {
  const agent = new FakeAgent();
  const failing = measureChange(agent, () => Promise.reject(new Error("refused")), PACE);
  await expect(failing).rejects.toThrow("refused");
});
