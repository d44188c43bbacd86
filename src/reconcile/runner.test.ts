import { expect, test } from "vitest";
import { type Clock, Runner } from "./runner.ts";

/** A clock whose sleeps end when `tick` is called. */
function fakeClock(): Clock & { sleeps: number[]; tick(): void } {
  let wake: (() => void) | undefined;
  const sleeps: number[] = [];
  return {
    sleeps,
    sleep: (ms, signal) =>
      new Promise<void>((resolve) => {
        sleeps.push(ms);
        wake = resolve;
        signal.addEventListener("abort", () => resolve());
      }),
    tick: () => wake?.(),
  };
}
const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

test("marks made during a pass cause exactly one more", async () => {
  const stop = new AbortController();
  let passes = 0;
  const runner: Runner = new Runner({
    signal: stop.signal,
    clock: fakeClock(),
    onError: () => {},
    pass: async () => {
      if (++passes === 1) for (let i = 0; i < 5; i++) runner.mark();
      return 0;
    },
  });
  await runner.settled();
  await turns();
  expect(passes).toBe(2);
  stop.abort();
  await runner.finished;
});

test("a failed pass is retried with back-off, and settled() waits for success", async () => {
  const stop = new AbortController();
  const clock = fakeClock();
  const errors: unknown[] = [];
  let passes = 0;
  const runner = new Runner({
    signal: stop.signal,
    clock,
    onError: (error) => errors.push(error),
    backoff: { min: 10, max: 40 },
    pass: async () => {
      if (++passes < 4) throw new Error(`pass ${passes}`);
      return 0;
    },
  });
  let settled = false;
  const done = runner.settled().then(() => {
    settled = true;
  });
  for (let i = 0; i < 3; i++) {
    await turns();
    expect(settled).toBe(false);
    clock.tick();
  }
  await done;
  expect(errors).toHaveLength(3);
  await turns();
  expect(clock.sleeps.filter((ms) => ms <= 40)).toEqual([10, 20, 40]);
  stop.abort();
  await runner.finished;
});

test("without a mark, a pass follows every resync", async () => {
  const stop = new AbortController();
  const clock = fakeClock();
  let passes = 0;
  const pass = async () => {
    passes++;
    return 0;
  };
  const runner = new Runner({ signal: stop.signal, clock, resync: 1000, onError: () => {}, pass });
  await turns();
  clock.tick();
  await turns();
  expect(passes).toBe(1);
  expect(clock.sleeps).toContain(1000);
  stop.abort();
  await runner.finished;
});
