import { expect, test } from "vitest";
import { losses, type Round, softnetDrops, unaccounted } from "./continuity.ts";

const good: Round = {
  udpSent: 100,
  udpArrived: 100,
  tcpBytes: 1,
  tcpRetransmitted: 3,
  tcpGaps: 0,
  tcpOctetsLost: 0,
  tcpResets: 0,
  backlogDrops: 0,
  done: 1,
};

test.each<[string, Partial<Round>, number]>([
  ["nothing lost", {}, 0],
  ["a datagram", { udpArrived: 99 }, 1],
  ["a datagram too many", { udpArrived: 101 }, 1],
  ["a reset", { tcpResets: 1 }, 1],
  ["nothing carried", { tcpBytes: 0 }, 1],
  ["segments overtaken and sent again in vain", { tcpGaps: 1, tcpRetransmitted: 9 }, 0],
  ["bytes of TCP", { tcpOctetsLost: 1448 }, 1],
  ["bytes of TCP that nobody can count", { tcpOctetsLost: null }, 0],
  ["a full queue, and what it cost", { backlogDrops: 2, udpArrived: 98 }, 2],
])("%s", (_, change, count) => {
  expect(losses({ ...good, ...change })).toHaveLength(count);
});

test.each<[string, Partial<Round>, number]>([
  ["nothing lost", {}, 0],
  ["a datagram, and no queue was full", { udpArrived: 99 }, 1],
  ["what a full queue counted", { backlogDrops: 2, udpArrived: 98 }, 0],
  ["one more than a full queue counted", { backlogDrops: 2, udpArrived: 97 }, 1],
  ["a datagram too many beside a full queue", { backlogDrops: 2, udpArrived: 101 }, 1],
  ["a reset beside a full queue", { backlogDrops: 2, tcpResets: 1 }, 1],
  ["TCP's part of what a full queue dropped", { backlogDrops: 2, tcpOctetsLost: 1448 }, 0],
])("unaccounted for: %s", (_, change, count) => {
  expect(unaccounted({ ...good, ...change })).toHaveLength(count);
});

test("drops of all CPUs, hexadecimal", () => {
  expect(softnetDrops("0001 0000000a 0\n0002 00000001 0\n")).toBe(11);
});
