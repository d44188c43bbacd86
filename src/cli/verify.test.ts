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

type Change = { packets: number; lost: number } & Partial<MemoryBackend["state"]["impairments"][number]>;

/** Verifies the shop's pod; `change` is what its impairment shows at the end of the window. */
async function verify({ packets, lost, ...rest }: Change, measured: number | null = 9_987_654) {
  const [limit] = backend.state.limits;
  const [one] = backend.state.impairments;
  if (!limit || !one) throw new Error("no sample");
  backend.state.limits = [{ ...limit, measured }];
  const sleep = async () => {
    backend.state.impairments = [{ ...one, ...rest, packets: one.packets + packets, lost: one.lost + lost }];
  };
  const ran = await machine.run(["verify", "web-10", "-n", "shop", "-o", "json"], {}, { sleep });
  const { items, proven } = JSON.parse(ran.out);
  return { code: ran.code, proven, verdicts: items.map(({ verdict }: { verdict: string }) => verdict), items };
}

test.each<[string, Change, number | null, string[]]>([
  ["all holds", { packets: 10_000, lost: 201 }, 9_987_654, ["proven", "proven"]],
  ["too much is lost", { packets: 10_000, lost: 400 }, 9_987_654, ["proven", "refuted"]],
  ["no traffic", { packets: 0, lost: 0 }, null, ["open", "open"]],
  ["an expired one", { packets: 10_000, lost: 201, state: "expired" }, 9_987_654, ["proven", "refuted"]],
  ["bursts", { packets: 10_000, lost: 201, configured: "loss burst p 1%" }, 9_987_654, ["proven", "open"]],
  ["too fast", { packets: 10_000, lost: 201 }, 12e6, ["refuted", "proven"]],
])("%s", async (_, change, measured, verdicts) => {
  const found = await verify(change, measured);
  const proven = verdicts.every((one) => one === "proven");
  expect(found).toMatchObject({ verdicts, proven, code: proven ? 0 : 1 });
});

test("only what passed meanwhile counts", async () => {
  const { items } = await verify({ packets: 1000, lost: 21 });
  expect(items[1]).toMatchObject({ packets: 1000, measured: 0.021, expected: 0.02 });
});

test("a pod without rules, and one that is not there", async () => {
  expect((await machine.run(["verify", "web-9", "-n", "shop"])).err).toContain("it has no rules");
  expect((await machine.run(["verify", "web-11", "-n", "shop"])).err).toContain("did you mean web-10?");
});
