import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Probe } from "../model/objects.ts";
import { Health } from "./health.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const probe = (rest: Partial<Probe> = {}): Probe => ({
  ...{ initialDelaySeconds: 0, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 },
  ...rest,
});

/** A container whose probes return the results in the lists, one per attempt; the last result repeats. */
function watch(
  probes: ConstructorParameters<typeof Health>[0]["probes"],
  answers: Record<string, (string | undefined)[]>,
) {
  const failed: string[] = [];
  const kinds = new Map(Object.entries(probes).map(([kind, one]) => [one, kind]));
  const attempts: string[] = [];
  const health = new Health({
    probes,
    attempt: async (one) => {
      const kind = kinds.get(one) ?? "";
      attempts.push(kind);
      const left = answers[kind] ?? [];
      return left.length > 1 ? left.shift() : left[0];
    },
    onChange: () => {},
    onFailed: (_, why) => failed.push(why),
  });
  return { health, failed, attempts };
}
const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000);

describe("a container's health", () => {
  it("is started and ready at once without probes", () => {
    const { health } = watch({}, {});
    expect([health.started, health.ready]).toEqual([true, true]);
  });

  it("the readiness probe sets readiness and never ends the container", async () => {
    const readinessProbe = probe({ successThreshold: 2, failureThreshold: 2 });
    const answers = ["no", undefined, undefined, "no", "no", undefined];
    const { health, failed } = watch({ readinessProbe }, { readinessProbe: answers });
    const seen: boolean[] = [];
    for (let i = 0; i < 7; i++) {
      await seconds(0.5);
      seen.push(health.ready);
      await seconds(9.5);
    }
    expect(seen).toEqual([false, false, true, true, false, false, true]);
    expect([failed, health.started]).toEqual([[], true]);
    health.close();
  });

  it("consecutive failures of the liveness probe end the container, once", async () => {
    const livenessProbe = probe({ initialDelaySeconds: 5, periodSeconds: 2 });
    const { health, failed, attempts } = watch(
      { livenessProbe },
      { livenessProbe: ["a", "b", undefined, "c", "d", "e"] },
    );
    await seconds(4.9);
    expect(attempts).toEqual([]);
    await seconds(9.9);
    expect(failed).toEqual([]);
    await seconds(100);
    expect([failed, attempts.length]).toEqual([["liveness probe failed: e"], 6]);
    health.close();
  });

  it("other probes begin when the startup probe has succeeded", async () => {
    const probes = { startupProbe: probe({ periodSeconds: 1, failureThreshold: 30 }), readinessProbe: probe() };
    const { health, attempts } = watch(probes, { startupProbe: ["no", "no", undefined], readinessProbe: [undefined] });
    await seconds(1.5);
    expect([health.started, health.ready, new Set(attempts)]).toEqual([false, false, new Set(["startupProbe"])]);
    await seconds(1);
    expect([health.started, health.ready]).toEqual([true, true]);
    await seconds(30);
    expect(attempts.filter((kind) => kind === "startupProbe")).toHaveLength(3);
    health.close();
  });

  it("a startup probe that does not succeed ends the container", async () => {
    const { failed, health } = watch({ startupProbe: probe() }, { startupProbe: ["no"] });
    await seconds(21);
    expect([failed, health.started]).toEqual([["startup probe failed: no"], false]);
  });

  it("limits the time of an attempt, and handles delays longer than a timer allows", async () => {
    const failed: string[] = [];
    const hanging = (signal: AbortSignal) =>
      new Promise<string>((resolve) => signal.addEventListener("abort", () => resolve("ended")));
    const make = (livenessProbe: Probe) =>
      new Health({
        probes: { livenessProbe },
        attempt: (_, signal) => hanging(signal),
        onChange: () => {},
        onFailed: (_, why) => failed.push(why),
      });
    const brief = make(probe({ timeoutSeconds: 2, failureThreshold: 1 }));
    const long = make(probe({ timeoutSeconds: 2 ** 31 - 1, failureThreshold: 1 }));
    const late = make(probe({ initialDelaySeconds: 2 ** 31 - 1, failureThreshold: 1 }));
    await seconds(3);
    expect(failed).toEqual(["liveness probe failed: no answer after 2 s"]);
    await seconds(100 * 86_400 - 3);
    expect(failed).toHaveLength(2); // After 24 days.
    for (const health of [brief, long, late]) health.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
