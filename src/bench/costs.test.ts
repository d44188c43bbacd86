import { expect, test } from "vitest";
import { findings } from "./costs.ts";

/** A round of a build whose hop takes 2 ns, its limit 300, way in and out 50, router 40; all of it `times` so long. */
const round = (build: number, at: number, times: number) =>
  [
    { series: "nothing", copies: 0, bpf: 10, wall: null },
    { series: "direct", copies: 0, bpf: 50, wall: null },
    { series: "routed", copies: 0, bpf: 90, wall: null },
    ...[0, 1, 4].map((copies) => ({ series: "hop", copies, bpf: 50 + 2 * copies, wall: null })),
    ...[0, 1, 4].map((copies) => ({ series: "limit", copies, bpf: 90 + 300 * copies, wall: 900 + 1000 * copies })),
  ].map((turn) => ({ ...turn, bpf: turn.bpf * times, build, round: at }) as Parameters<typeof findings>[0][number]);
const COMPARED = [0, 1, 2].flatMap((at) => [...round(0, at, 0.8), ...round(1, at, 1)]);

test("figures of one build are shown", () => {
  const found = findings([...round(0, 0, 1), ...round(0, 1, 1)], false);
  expect(found.map(({ measured }) => measured)).toEqual([
    "10.0 ns",
    "2.0 ns",
    "50.0 ns",
    "40.0 ns",
    "90.0 ns",
    "300.0 ns",
    "1000.0 ns",
  ]);
  expect(new Set(found.map(({ verdict }) => verdict))).toEqual(new Set(["shown"]));
});

test("of two builds the first is judged by its ratio to the second", () => {
  const whole = findings(COMPARED, true).find(({ what }) => what === "entry, router and delivery");
  expect(whole).toMatchObject({
    measured: "72.0 ns against 90.0: 0.800 (0.800 to 0.800)",
    target: "upper bound ≤ 0.85",
    verdict: "holds",
  });
});

test("a build that takes longer misses", () => {
  const swapped = COMPARED.map((turn) => ({ ...turn, build: 1 - turn.build }));
  const judged = findings(swapped, true).filter(({ verdict }) => verdict !== "shown");
  expect(judged.map(({ verdict }) => verdict)).toEqual(Array(5).fill("misses"));
});
