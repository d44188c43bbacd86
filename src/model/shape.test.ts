import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ANY_SEGMENTS, BLOCK, MAX_LEAVES, MAX_SHAPERS, SETS, SIZE_TABLE, shape } from "./shape.ts";

const rate = fc.integer({ min: 1000, max: 100e9 });
const mtu = fc.integer({ min: 1280, max: 9000 });
const input = fc.record({ rate, mtu });

describe("shape", () => {
  test("the parent's rate is the limit as the size table charges it", () => {
    const { parent, first } = shape({ rate: 640e6, mtu: 1500 });
    expect([parent.rate, first.rate]).toEqual([647e6, 647e6]);
    expect(parent.ceil / parent.rate).toBeCloseTo(1.035, 3);
  });

  test("sparse flows have the whole rate of their own and go first, leaves borrow what is left", () => {
    fc.assert(
      fc.property(input, (one) => {
        const { parent, first, leaf } = shape(one);
        expect(first.rate).toBe(parent.rate);
        expect(first.prio).toBeLessThan(leaf.prio);
        expect(leaf.rate).toBeLessThanOrEqual(8);
      }),
    );
  });

  test("from 1 Mbit/s the first second is at most 5 % over, and nothing is left to catch up after it", () => {
    fc.assert(
      fc.property(input, ({ rate, mtu }) => {
        const { parent } = shape({ rate: Math.max(rate, 1e6), mtu });
        const exact = parent.rate / 8;
        expect(parent.ceil / 8 + parent.cburst + 1514).toBeLessThanOrEqual(exact * 1.05 + mtu);
        expect(parent.burst).toBeLessThanOrEqual(Math.max(parent.cburst, exact * 0.042));
      }),
    );
  });

  test("the size table never charges more than the rate counts, and less by under a byte", () => {
    for (const [bytes, charge] of SIZE_TABLE.entries()) {
      expect(charge).toBeLessThanOrEqual((bytes * 647) / 640);
      expect(charge).toBeGreaterThan((bytes * 647) / 640 - 1);
    }
    expect(Math.max(...SIZE_TABLE)).toBeLessThan(65_536);
  });

  test("a frame passes each leaf whole, as it is charged or with Ethernet's header", () => {
    fc.assert(
      fc.property(input, (one) => {
        const { set } = shape(one);
        expect(set.split).toBeGreaterThanOrEqual(one.mtu + 18);
        expect(set.split).toBeGreaterThan((one.mtu * 647) / 640);
      }),
    );
  });

  test("all rates that use a set split alike, so an edit never changes a queue", () => {
    fc.assert(
      fc.property(rate, rate, mtu, (a, b, mtu) => {
        const [one, two] = [shape({ rate: a, mtu }), shape({ rate: b, mtu })];
        if (one.set.place === two.set.place)
          expect({ ...one.leaf, set: one.set }).toEqual({ ...two.leaf, set: two.set });
      }),
    );
  });

  test("a round of all leaves takes at most 0.12 s, or five packets", () => {
    fc.assert(
      fc.property(input, (one) => {
        const { leaves, leaf } = shape(one);
        const round = (leaves * leaf.quantum * 8) / one.rate;
        expect(leaves === 5 || round <= 0.12).toBe(true);
        expect(leaves).toBeLessThanOrEqual(MAX_LEAVES);
      }),
    );
  });

  test("every number fits its field of 32 bits", () => {
    fc.assert(
      fc.property(input, (one) => {
        const { parent, leaf, leaves, queue, least, deep, byte, set } = shape(one);
        for (const value of [leaves, queue, least, deep, byte, set.split, leaf.quantum, parent.burst, parent.cburst]) {
          expect(Number.isInteger(value) && value > 0 && value < 2 ** 32).toBe(true);
        }
      }),
    );
  });

  test("sets do not overlap, and the last block ends within 16 bits", () => {
    for (const [index, place] of SETS.entries())
      expect(place + MAX_LEAVES).toBeLessThanOrEqual(SETS[index + 1] ?? BLOCK);
    expect(MAX_SHAPERS * BLOCK).toBeLessThan(65_536);
  });

  test.each([
    [1e6, 1, 2399],
    [100e6, 8, 12 * 1514 + 128],
    [600e6, ANY_SEGMENTS, 2 ** 24],
  ])("at %d bit/s a sender puts %d segments into a packet, and leaves split over %d bytes", (rate, segments, split) => {
    const { senderSegments, set } = shape({ rate, mtu: 1500 });
    expect([senderSegments, set.split]).toEqual([segments, split]);
  });
});
