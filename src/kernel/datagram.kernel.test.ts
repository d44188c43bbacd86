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

/** Sockets within the namespace, closed whatever `body` does. */
function withSockets(body: (receiver: DatagramSocket, sender: DatagramSocket) => void): void {
  const receiver = inNamespace(netns, () => new DatagramSocket({ port: PORT, receiveBuffer: 8 << 20 }));
  const sender = inNamespace(netns, () => new DatagramSocket({ sendBuffer: 8 << 20 }));
  try {
    sender.connect("127.0.0.1", PORT);
    body(receiver, sender);
  } finally {
    sender.close();
    receiver.close();
  }
}

test("batches arrive in order, with their own lengths, what is kept of them, and when they came", () => {
  const lengths = [16, 100, 1200, 60_000, 17, 1422, 1470, 64];
  const batch = new Batch(SLOTS, 60_000);
  const arrivals = new Arrivals(SLOTS, KEPT);
  withSockets((receiver, sender) => {
    expect(receiver.receive(arrivals)).toBe(0);
    const begin = wallClock();
    for (const [i, length] of lengths.entries()) {
      batch.data.writeUInt32LE(1000 + i, i * batch.size);
      batch.setLength(i, length);
    }
    expect(sender.send(batch, SLOTS)).toBe(SLOTS);
    const slots = lengths.map((_, i) => i);
    expect(receiver.receive(arrivals)).toBe(SLOTS);
    const end = wallClock();
    expect(slots.map((i) => arrivals.data.readUInt32LE(i * KEPT))).toEqual(slots.map((i) => 1000 + i));
    expect(slots.map((i) => arrivals.length(i))).toEqual(lengths);
    // one clock, read to a fraction of a microsecond; the kernel takes a moment to begin with stamps, and stamps until then
    // what is read
    for (const i of slots) expect(arrivals.time(i)).toBeGreaterThanOrEqual(begin - 1);
    for (const i of slots) expect(arrivals.time(i)).toBeLessThanOrEqual(end + 1);
  });
});

test("memory that the kernel writes to outlives a collection of garbage", () => {
  const arrivals = new Arrivals(SLOTS, KEPT);
  const batch = new Batch(SLOTS, 1200);
  withSockets((receiver, sender) => {
    for (let round = 0; round < 200; round++) {
      Buffer.alloc(1 << 20, round); // garbage
      for (let i = 0; i < SLOTS; i++) {
        batch.data.writeUInt32LE(round * SLOTS + i, i * batch.size);
        batch.setLength(i, 1200);
      }
      expect(sender.send(batch, SLOTS)).toBe(SLOTS);
      expect(receiver.receive(arrivals)).toBe(SLOTS);
      for (let i = 0; i < SLOTS; i++) expect(arrivals.data.readUInt32LE(i * KEPT)).toBe(round * SLOTS + i);
    }
  });
});

test("a sender whose reader is gone goes on; a port that is taken is an error", () => {
  const batch = new Batch(1, 16);
  withSockets((receiver, sender) => {
    expect(() => inNamespace(netns, () => new DatagramSocket({ port: PORT }))).toThrow(
      `bind UDP port ${PORT}: EADDRINUSE`,
    );
    receiver.close();
    batch.setLength(0, 16);
    const sent = Array.from({ length: 4 }, () => sender.send(batch, 1));
    expect(sent[0]).toBe(1);
    expect(sent).toContain(0);
  });
});
