import { afterEach, beforeEach, expect, test } from "vitest";
import type { MemoryBackend } from "../api/testing/memory.ts";
import { Machine } from "./testing/harness.ts";
import { shop } from "./testing/samples.ts";

let machine: Machine;
let backend: MemoryBackend;
beforeEach(async () => {
  machine = await Machine.create();
  backend = await machine.agent("node-1", shop());
});
afterEach(() => machine.close());

const BEFORE = { bursts: 1973 };
const BURST = { loss: { model: "burst", p: 0.01, r: 0.2, lossGood: 0, lossBad: 1 } } as const;

type Change = { packets: number; lost: number } & Partial<MemoryBackend["state"]["impairments"][number]>;

/** Verifies the shop's pod; `change` is what its impairment shows at the end of the window. */
async function verify({ packets, lost, ...rest }: Change, measured: number | null = 9_987_654) {
  const [limit] = backend.state.limits;
  backend.state.programs = [];
  const [one] = backend.state.impairments;
  if (!limit || !one) throw new Error("no sample");
  backend.state.limits = [{ ...limit, measured }];
  let clock = 0;
  const sleep = async (ms: number) => {
    clock += ms;
    backend.state.impairments = [{ ...one, ...rest, packets: one.packets + packets, lost: one.lost + lost }];
  };
  const ran = await machine.run(["verify", "web-10", "-n", "shop", "-o", "json"], {}, { sleep, now: () => clock });
  const { items, proven } = JSON.parse(ran.out);
  return { code: ran.code, proven, verdicts: items.map(({ verdict }: { verdict: string }) => verdict), items };
}

test.each<[string, Change, number | null, string[]]>([
  ["all holds", { packets: 10_000, lost: 201 }, 9_987_654, ["proven", "proven"]],
  ["too much is lost", { packets: 10_000, lost: 400 }, 9_987_654, ["proven", "refuted"]],
  ["no traffic", { packets: 0, lost: 0 }, null, ["open", "open"]],
  ["an expired one", { packets: 10_000, lost: 201, state: "expired" }, 9_987_654, ["proven", "refuted"]],
  [
    "bursts of the right number and length",
    { packets: 100_000, lost: 4762, bursts: BEFORE.bursts + 952, effects: BURST },
    9_987_654,
    ["proven", "proven", "proven"],
  ],
  [
    "as many losses, each by itself",
    { packets: 100_000, lost: 4762, bursts: BEFORE.bursts + 4500, effects: BURST },
    9_987_654,
    ["proven", "proven", "refuted"],
  ],
  [
    "duplicates and corruption, some packets without a payload",
    {
      ...{ packets: 10_000, lost: 0, duplicated: 305, corrupted: 480, spared: 20 },
      effects: { duplicate: 0.03, corrupt: 0.05 },
    },
    9_987_654,
    ["proven", "proven", "proven"],
  ],
  [
    "too few copies",
    { packets: 10_000, lost: 0, duplicated: 200, effects: { duplicate: 0.03 } },
    9_987_654,
    ["proven", "refuted"],
  ],
  [
    "a delay, and some that overtake",
    {
      ...{ packets: 10_000, lost: 0, delayed: 8990, reordered: 1010, meanDelay: 0.0503 },
      effects: { delay: { base: 50e6, jitter: 10e6 }, reorder: 0.1 },
    },
    9_987_654,
    ["proven", "proven", "proven"],
  ],
  [
    "another delay",
    { packets: 10_000, lost: 0, delayed: 10_000, meanDelay: 0.07, effects: { delay: { base: 50e6, jitter: 10e6 } } },
    9_987_654,
    ["proven", "refuted"],
  ],
  [
    "a delay without fq, beside a loss",
    {
      ...{ packets: 10_000, lost: 201, reason: "the kernel has no fq qdisc" },
      effects: { loss: { model: "uniform", probability: 0.02 }, delay: { base: 50e6, jitter: 0 } },
    },
    9_987_654,
    ["proven", "proven", "refuted"],
  ],
  ["too fast", { packets: 10_000, lost: 201 }, 12e6, ["refuted", "proven"]],
])("%s", async (_, change, measured, verdicts) => {
  const found = await verify(change, measured);
  const proven = verdicts.every((one) => one === "proven");
  expect(found).toMatchObject({ verdicts, proven, code: proven ? 0 : 1 });
});

test("only packets of the observed time count", async () => {
  const { items } = await verify({ packets: 1000, lost: 21 });
  expect(items[1]).toMatchObject({ packets: 1000, measured: 0.021, expected: 0.02 });
});

test("a limit is judged by the observed busy seconds, with their interval", async () => {
  const [limit] = backend.state.limits;
  if (!limit) throw new Error("no sample");
  backend.state.impairments = [];
  backend.state.programs = [];
  let clock = 0;
  const verify = async (rate: (time: number) => { measured: number; measuredAge: number }) => {
    const sleep = async (ms: number) => {
      clock += ms;
      backend.state.limits = [{ ...limit, ...rate(clock) }];
    };
    clock = 0;
    const argv = ["verify", "web-10", "-n", "shop", "-o", "json"];
    return JSON.parse((await machine.run(argv, {}, { sleep, now: () => clock })).out).items[0];
  };
  // one second after the other: 9.9, 10.1, 9.9, 10.1 Mbit/s
  const busy = await verify((time) => ({
    measured: Math.floor(time / 1000) % 2 === 0 ? 10.1e6 : 9.9e6,
    measuredAge: (time % 1000) / 1000,
  }));
  expect(busy).toMatchObject({ verdict: "proven", expected: 10e6 });
  expect([busy.low < busy.measured, busy.high > busy.measured, busy.high - busy.low < 1e6]).toEqual([true, true, true]);
  // the rate of a busy second long ago says nothing of now
  expect(await verify((time) => ({ measured: 10e6, measuredAge: 60 + time / 1000 }))).toMatchObject({
    verdict: "open",
    measured: null,
  });
});

test("a limit's drops and marks are reported and judged", async () => {
  const [limit] = backend.state.limits;
  if (!limit) throw new Error("no sample");
  backend.state.impairments = [];
  backend.state.programs = [];
  const more = (one: typeof limit.sent, packets: number) => ({
    packets: (one?.packets ?? 0) + packets,
    bytes: (one?.bytes ?? 0) + 1000 * packets,
  });
  let clock = 0;
  const verify = async (measured: number, sent: number, dropped: number, output = "json") => {
    backend.state.limits = [limit];
    const counted = {
      received: more(limit.received, sent + dropped),
      sent: more(limit.sent, sent),
      dropped: more(limit.dropped, dropped),
      marked: (limit.marked ?? 0) + 7,
    };
    const sleep = async (ms: number) => {
      clock += ms;
      backend.state.limits = [{ ...limit, ...counted, measured }];
    };
    clock = 0;
    return machine.run(["verify", "web-10", "-n", "shop", "-o", output], {}, { sleep, now: () => clock });
  };
  const item = async (...numbers: [number, number, number]) => JSON.parse((await verify(...numbers)).out).items[0];
  expect(await item(10e6, 400, 300)).toMatchObject({ verdict: "proven", packets: 700, dropped: 300, marked: 7 });
  expect(await item(5e6, 400, 500)).toMatchObject({
    verdict: "refuted",
    reason: "less passed than the limit allows, though more was offered",
  });
  expect((await verify(10e6, 400, 300, "table")).out).toMatch(/PACKETS +DROPPED +MARKED[^\n]*\n[^\n]* 700 +300 +7 /);
  // counters that began anew meanwhile count from zero
  backend.state.limits = [limit];
  const sleep = async (ms: number) => {
    clock += ms;
    const amount = { packets: 2, bytes: 2000 };
    backend.state.limits = [{ ...limit, received: amount, sent: amount, dropped: { packets: 0, bytes: 0 }, marked: 0 }];
  };
  clock = 0;
  const anew = await machine.run(["verify", "web-10", "-n", "shop", "-o", "json"], {}, { sleep, now: () => clock });
  expect(JSON.parse(anew.out).items[0]).toMatchObject({ packets: 2, dropped: 0, marked: 0 });
});

test("a program is verified to have run", async () => {
  const [program] = backend.state.programs;
  if (!program) throw new Error("no sample");
  backend.state.limits = [];
  backend.state.impairments = [];
  let clock = 0;
  const verify = async (change: Partial<typeof program>) => {
    backend.state.programs = [program];
    const sleep = async (ms: number) => {
      clock += ms;
      backend.state.programs = [{ ...program, ...change }];
    };
    const argv = ["verify", program.pod, "-n", program.namespace, "-o", "json"];
    return JSON.parse((await machine.run(argv, {}, { sleep, now: () => clock })).out).items[0];
  };
  const seen = { packets: program.packets + 400, dropped: program.dropped + 100 };
  expect(await verify(seen)).toMatchObject({ verdict: "proven", packets: 400, measured: 0.25 });
  expect(await verify({})).toMatchObject({ verdict: "open", packets: 0 });
  expect(await verify({ ...seen, build: "fedcba987654", packets: 8, dropped: 2 })).toMatchObject({ packets: 8 });
  expect(await verify({ ...seen, state: "refused", reason: "no" })).toMatchObject({ verdict: "refuted", reason: "no" });
});

test("generated traffic needs another pod", async () => {
  const { err, code } = await machine.run(["verify", "web-10", "-n", "shop", "--traffic"]);
  expect(code).toBe(1);
  expect(err).toMatch(
    /send traffic to shop\/web-10: (its network is not of Weir's making|no other pod is here to send it)/,
  );
});

test("a pod without rules, and a missing pod", async () => {
  expect((await machine.run(["verify", "web-9", "-n", "shop"])).err).toContain("it has no rules");
  expect((await machine.run(["verify", "web-11", "-n", "shop"])).err).toContain("did you mean web-10?");
});

test("an overruled rule is not verified", async () => {
  const [limit] = backend.state.limits;
  if (!limit) throw new Error("no sample");
  const lost = {
    ...limit,
    source: "Limit/shop/slow",
    effective: null,
    reason: "overruled",
    overruledBy: "Pod/shop/web-10",
  };
  backend.limits = async () => [limit, lost];
  backend.state.programs = [];
  backend.state.impairments = [];
  let clock = 0;
  const sleep = async (ms: number) => {
    clock += ms;
  };
  const ran = await machine.run(["verify", "web-10", "-n", "shop", "-o", "json"], {}, { sleep, now: () => clock });
  expect({ code: ran.code, items: JSON.parse(ran.out).items }).toMatchObject({
    code: 0,
    items: [{ source: limit.source, verdict: "proven" }],
  });
});
