import { expect, it } from "vitest";
import type { Client } from "../api/client.ts";
import { waitInForce } from "./in-force.ts";

const PATIENCE = 60_000;

it("waits for the agent's report, but not for a pod that another change has removed", async () => {
  let asked = 0;
  const pods = [{ namespace: "ns", name: "kept", resourceVersion: "7", problems: ["slow"] }];
  const agent = { list: async () => (++asked < 3 ? [] : pods) } as unknown as Client;
  const expected = [
    { key: "ns/kept", resourceVersion: "7" },
    { key: "ns/taken", resourceVersion: "8", isGone: () => asked > 3 },
  ];
  const results = await waitInForce(agent, expected, PATIENCE);
  expect(results).toEqual([{ pod: "ns/kept", problems: [expect.objectContaining({ message: "slow" })] }]);
  expect(asked).toBe(4);
});

it("does not wait if the agent does not answer and the pod is gone", async () => {
  const agent = { list: () => Promise.reject(new Error("away")) } as unknown as Client;
  const gone = { key: "ns/a", resourceVersion: "1", isGone: () => true };
  expect(await waitInForce(agent, [gone], PATIENCE)).toEqual([]);
});
