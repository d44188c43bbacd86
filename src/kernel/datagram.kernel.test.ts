import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Arrivals, Batch, DatagramSocket, wallClock } from "./datagram.ts";
import { createNamespace, inNamespace, removeNamespace } from "./namespace.ts";
import { setLink } from "./netlink/link.ts";

const name = `weir-t${process.pid}-datagram`;
let netns: string;
const PORT = 9000;
const SLOTS = 8;
const KEPT = 16;

beforeAll(() => {
  netns = createNamespace(name);
  inNamespace(netns, () => setLink("lo", { up: true }));
});
afterAll(() => removeNamespace(name));

/** Calls `body` with sockets in the namespace, and closes them in any case. */
async function withSockets(
  body: (receiver: DatagramSocket, sender: DatagramSocket) => Promise<void> | void,
): Promise<void> {
  const receiver = inNamespace(netns, () => new DatagramSocket({ port: PORT, receiveBuffer: 8 << 20 }));
  const sender = inNamespace(netns, () => new DatagramSocket({ sendBuffer: 8 << 20 }));
  try {
    sender.connect("127.0.0.1", PORT);
    await body(receiver, sender);
  } finally {
    sender.close();
    receiver.close();
  }
}

interface Arrival {
  number: number;
  length: number;
  time: number;
}

/** Receives this many datagrams, which a busy kernel delivers with delay. */
async function take(receiver: DatagramSocket, arrivals: Arrivals, count: number): Promise<Arrival[]> {
  const taken: Arrival[] = [];
  while (taken.length < count) {
    const more = receiver.receive(arrivals);
    for (let i = 0; i < more; i++) {
      const number = arrivals.data.readUInt32LE(i * KEPT);
      taken.push({ number, length: arrivals.length(i), time: arrivals.time(i) });
    }
    await turn();
  }
  return taken;
}

/** Fills a batch with numbered datagrams and sends it. */
function sendNumbered(sender: DatagramSocket, batch: Batch, first: number, lengths: readonly number[]): void {
  for (const [i, length] of lengths.entries()) {
    batch.data.writeUInt32LE(first + i, i * batch.size);
    batch.setLength(i, length);
  }
  expect(sender.send(batch, lengths.length)).toBe(lengths.length);
}

test("batches arrive in order, with lengths, contents and arrival times", () =>
  withSockets(async (receiver, sender) => {
    const lengths = [16, 100, 1200, 60_000, 17, 1422, 1470, 64];
    const arrivals = new Arrivals(SLOTS, KEPT);
    expect(receiver.receive(arrivals)).toBe(0);
    const begin = wallClock();
    sendNumbered(sender, new Batch(SLOTS, 60_000), 1000, lengths);
    const taken = await take(receiver, arrivals, SLOTS);
    const end = wallClock();
    expect(taken.map(({ number }) => number)).toEqual(lengths.map((_, i) => 1000 + i));
    expect(taken.map(({ length }) => length)).toEqual(lengths);
    for (const { time } of taken) {
      // both times are of the same clock, with a precision of less than a microsecond
      expect(time).toBeGreaterThanOrEqual(begin - 1);
      expect(time).toBeLessThanOrEqual(end + 1);
    }
  }));

test("memory that the kernel writes to is not garbage-collected", () =>
  withSockets(async (receiver, sender) => {
    const arrivals = new Arrivals(SLOTS, KEPT);
    const batch = new Batch(SLOTS, 1200);
    for (let round = 0; round < 200; round++) {
      Buffer.alloc(1 << 20, round); // garbage
      sendNumbered(sender, batch, round * SLOTS, Array<number>(SLOTS).fill(1200));
      const taken = await take(receiver, arrivals, SLOTS);
      expect(taken.map(({ number }) => number)).toEqual(taken.map((_, i) => round * SLOTS + i));
    }
  }));

test("a sender continues without a receiver; a port in use is an error", () =>
  withSockets(async (receiver, sender) => {
    expect(() => inNamespace(netns, () => new DatagramSocket({ port: PORT }))).toThrow(
      `bind UDP port ${PORT}: EADDRINUSE`,
    );
    receiver.close();
    const batch = new Batch(1, 16);
    batch.setLength(0, 16);
    expect(sender.send(batch, 1)).toBe(1);
    // the ICMP error is reported by one of the next calls
    while (sender.send(batch, 1) === 1) await turn();
  }));
