import { expect, test } from "vitest";
import { type Amount, type LimitCounts, type LimitUse, limitCounts } from "./limit-counts.ts";

const amount = (packets: number): Amount => ({ packets, bytes: packets * 100 });
const use = (received: number, sent: number, refused: number): LimitUse => ({
  ...{ received: amount(received), sent: amount(sent), refused: amount(refused) },
  ...{ marked: 0, waits: [sent, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
});

const packets = ({ received, sent, dropped, queued, lost }: LimitCounts) =>
  [received, sent, dropped, queued, lost].map((one) => one?.packets);

test.each([
  ["nothing waits, and that is not asked for", use(10, 7, 3), Number.NaN, [10, 7, 3, 0, 0]],
  ["all that is left waits", use(10, 5, 3), 200, [10, 5, 3, 2, 0]],
  ["the queue was removed with all in it", use(10, 5, 3), 0, [10, 5, 3, 0, 2]],
  ["a part of what is left waits", use(20, 5, 5), 300, [20, 5, 5, 3, 7]],
  ["the queue's account is ahead", use(10, 5, 3), 500, [10, 5, 3, 2, 0]],
  ["a drop was counted, its arrival was not yet read", use(9, 7, 3), 0, [10, 7, 3, 0, 0]],
])("%s", (_what, now, waiting, expected) => {
  const counts = limitCounts(
    () => now,
    () => waiting,
  );
  expect(packets(counts)).toEqual(expected);
});

test("queued packets are read at a time at which no counter changed", () => {
  const readings = [use(10, 5, 0), use(11, 5, 0), use(11, 5, 0)];
  const waiting = [500, 400];
  const counts = limitCounts(
    () => readings.shift() ?? use(0, 0, 0),
    () => waiting.shift() ?? 0,
  );
  expect(packets(counts)).toEqual([11, 5, 0, 4, 2]);
});

test("without such a time no packet is counted as lost", () => {
  let received = 10;
  const counts = limitCounts(
    () => use(received++, 5, 0),
    () => 0,
  );
  const [all = 0, sent, dropped, queued = 0, lost] = packets(counts);
  expect([sent, dropped, lost, all - queued]).toEqual([5, 0, 0, 5]);
});
