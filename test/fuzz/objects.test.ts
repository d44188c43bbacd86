import { expect, test } from "vitest";
import { check } from "./check.ts";
import { type Case, COUNT, cases } from "./documents.ts";

const AT_ONCE = 100;
/** One of this many batches also passes through the files that a lab writes for its agents. */
const HAND_OUT = 5;

/** Fields of a pod that an agent uses: a rule may depend on them. */
const ACTED = new Set(["nodeName", "hostNetwork"]);

/** Names of the pods whose changed fields an agent does not use. */
function spared(batch: readonly Case[]): string[] {
  return batch
    .filter(
      ({ kind, paths }) =>
        kind === "Pod" && paths.every(([first, second = "nodeName"]) => first === "spec" && !ACTED.has(String(second))),
    )
    .map(({ name }) => name);
}

const checkAll = (batch: readonly Case[], handsOut: boolean) =>
  check(
    batch.map(({ document }) => document),
    { keepsRule: spared(batch), handsOut },
  );

/** The documents of a batch that fail alone. */
function culprits(batch: readonly Case[]): string[] {
  return batch.flatMap((one) => {
    try {
      checkAll([one], true);
      return [];
    } catch (error) {
      return [`${(error as Error).stack}\n${one.paths.join(" ")}\n${JSON.stringify(one.document)}`];
    }
  });
}

test("no object ends a process, hides another object, or removes a rule that does not depend on it", {
  timeout: 300_000,
}, () => {
  const all = cases();
  const sum = { read: 0, refused: 0 };
  const faults: string[] = [];
  for (let index = 0; index * AT_ONCE < COUNT; index++) {
    const batch = Array.from({ length: AT_ONCE }, () => all.next().value as Case);
    try {
      const { read, refused } = checkAll(batch, index % HAND_OUT === 0);
      sum.read += read;
      sum.refused += refused;
    } catch (error) {
      const found = culprits(batch);
      faults.push(...(found.length > 0 ? found : [`together: ${(error as Error).stack}`]));
    }
  }
  expect(faults.slice(0, 10)).toEqual([]);
  // Otherwise nearly all documents would have been refused, or none.
  expect(sum.read).toBeGreaterThan(COUNT / 2);
  expect(sum.refused).toBeGreaterThan(COUNT / 50);
});
