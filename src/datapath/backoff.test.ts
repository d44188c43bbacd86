import { expect, test } from "vitest";
import { Backoff } from "./backoff.ts";

function bench() {
  let now = 0;
  const retry = new Backoff(() => now, { least: 50, most: 400 });
  const wait = (ms: number) => {
    now += ms;
    return retry.isDue;
  };
  return { retry, wait };
}

test("waits twice as long after each try, until a limit, and shortly for what is new", () => {
  const { retry, wait } = bench();
  const waits: (number | undefined)[] = [];
  for (let tries = 0; tries < 6; tries++) {
    retry.fail(tries === 0);
    waits.push(retry.left);
    wait(retry.left ?? 0);
  }
  expect(waits).toEqual([50, 100, 200, 400, 400, 400]);
  retry.fail(true);
  expect(retry.left).toBe(50);
  retry.clear();
  expect([retry.left, retry.isDue]).toEqual([undefined, false]);
});

test("tries that something else hurried do not make the next one later", () => {
  const { retry, wait } = bench();
  retry.hurry();
  expect(retry.isDue).toBe(false);
  retry.fail(true);
  for (let tries = 0; tries < 100; tries++) {
    retry.hurry();
    retry.hurry();
    expect(retry.isDue).toBe(true);
    retry.fail(false);
  }
  expect([retry.left, wait(50)]).toEqual([50, true]);
  retry.fail(false);
  expect(retry.left).toBe(100);
  retry.hurry();
  wait(150); // nobody looked before its time
  retry.fail(false);
  expect(retry.left).toBe(200);
});
