import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ANY_SEGMENTS, shape } from "./shape.ts";

const input = fc.record({
  rate: fc.integer({ min: 1000, max: 100e9 }),
  mtu: fc.integer({ min: 1280, max: 9000 }),
  charged: fc.boolean(),
});

describe("shape", () => {
  test("the parent holds the rate at layer 3: HTB counts Ethernet's header of each packet", () => {
    const { parent, small, bulk } = shape({ rate: 150e6, mtu: 1500, charged: true });
    expect([parent.rate, small.rate]).toEqual([151.4e6, 151.4e6]);
    expect(new Set([parent.ceil, small.ceil, bulk.ceil])).toEqual(new Set([parent.ceil]));
    expect(parent.ceil / parent.rate).toBeCloseTo(1.035, 3);
  });

  test("small packets have the whole rate of their own, the rest borrow what is left", () => {
    fc.assert(
      fc.property(input, (one) => {
        const { parent, small, bulk } = shape(one);
        expect(small.rate).toBe(parent.rate);
        expect(small.prio).toBeLessThan(bulk.prio);
        expect(bulk.rate).toBeLessThanOrEqual(8);
      }),
    );
  });

  test("from 1 Mbit/s the first second is at most 5 % over", () => {
    fc.assert(
      fc.property(input, ({ rate, charged }) => {
        const { parent } = shape({ rate: Math.max(rate, 1e6), mtu: 1500, charged });
        const second = parent.ceil / 8 + parent.cburst + 1514;
        expect(second).toBeLessThanOrEqual((parent.rate / 8) * 1.05);
      }),
    );
  });

  test("a pause of 80 ms is caught up: the bucket holds what it cost", () => {
    fc.assert(
      fc.property(input, (one) => void expect(shape(one).parent.burst).toBeGreaterThanOrEqual((one.rate / 8) * 0.079)),
    );
  });

  test("nothing that fits the device is refused: a frame passes whole, and two wait", () => {
    fc.assert(
      fc.property(input, (one) => {
        const { bulk, parent } = shape(one);
        expect(bulk.split).toBeGreaterThan(one.mtu + 18);
        expect(bulk.queue).toBeGreaterThan(15_000 - 1);
        expect(parent.quantum).toBeGreaterThanOrEqual(one.mtu + 14);
        for (const value of [bulk.queue, bulk.split, parent.burst]) {
          expect(Number.isInteger(value) && value < 2 ** 32).toBe(true);
        }
      }),
    );
  });

  test.each([
    [1e6, 1, 3156],
    [100e6, 8, 8 * 1514 + 128],
    [600e6, ANY_SEGMENTS, 2 ** 24],
  ])(
    "at %d bit/s a sender puts %d segments into a packet, and packets over %d bytes are split",
    (rate, segments, split) => {
      const { senderSegments, bulk } = shape({ rate, mtu: 1500, charged: true });
      expect([senderSegments, bulk.split]).toEqual([segments, split]);
    },
  );

  test("a queue whose senders are not charged is short", () => {
    const [deep, short] = [true, false].map((charged) => shape({ rate: 10e6, mtu: 1500, charged }).bulk.queue);
    expect(short).toBeLessThan((deep ?? 0) / 10);
  });
});
