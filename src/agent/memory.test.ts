import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Tidying } from "./memory.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function make() {
  const state = { resident: 100, tidied: 0 };
  const tidying = new Tidying({
    resident: () => state.resident,
    tidy: () => {
      state.tidied++;
      state.resident = 80;
    },
  });
  return { state, tidying };
}

test("memory is given back once an agent rests after its start", () => {
  const { state, tidying } = make();
  for (let i = 0; i < 5; i++) {
    tidying.worked();
    vi.advanceTimersByTime(1900);
  }
  expect(state.tidied).toBe(0);
  vi.advanceTimersByTime(200);
  expect(state.tidied).toBe(1);
});

test("later it takes a minute of rest, and growth", () => {
  const { state, tidying } = make();
  tidying.worked();
  vi.advanceTimersByTime(2000);
  tidying.worked();
  vi.advanceTimersByTime(120_000);
  expect(state.tidied).toBe(1); // nothing has grown
  state.resident = 95;
  tidying.worked();
  vi.advanceTimersByTime(59_000);
  expect(state.tidied).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(state.tidied).toBe(2);
});

test("nothing is done after the end", () => {
  const { state, tidying } = make();
  tidying.worked();
  tidying.stop();
  vi.advanceTimersByTime(120_000);
  expect(state.tidied).toBe(0);
});

test("a process's own memory can be given back", () => {
  vi.useRealTimers();
  const tidying = new Tidying();
  expect(() => tidying.tidy()).not.toThrow();
});
