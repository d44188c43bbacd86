import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ETH, ip, tcp } from "../../../test/packets.ts";
import { faults, parse } from "../../../test/parse.ts";
import { Bench, type Outcome } from "./testing/bench.ts";
import { cluster } from "./testing/fixture.ts";
import { A, A4, A6, B, B4, B6, bytes, dns, fromA, fromHost, GW4, GW6, MACS, NODE1, NODE2 } from "./testing/frames.ts";

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
  bench.apply(cluster());
});
afterAll(() => bench?.close());

const RUNS = 3000;
const PORTS = [A.device, "host", "overlay"];
const port = fc.constantFrom(...PORTS);
const HEADERS: Record<number, number> = { [ETH.ip4]: 20, [ETH.ip6]: 40 };

/** BPF_PROG_TEST_RUN refuses a frame that is too short for the IP header of its EtherType. */
const runnable = (frame: Buffer): boolean =>
  frame.length >= 14 && frame.length >= 14 + (HEADERS[frame.readUInt16BE(12)] ?? 0);

/** Checks what holds for every packet: it is dropped for a reason, or leaves with valid headers. */
function sound(frame: Buffer, { drops, out, frame: left }: Outcome): void {
  if (out === undefined) {
    expect(drops.length).toBeGreaterThan(0);
    return;
  }
  const { type, ip: header, src } = parse(left);
  expect(src).toBe(MACS.router);
  if (type === ETH.arp) return;
  expect(header).toBeDefined();
  const before = parse(frame);
  const made = drops.length > 0;
  const wrong = faults(left);
  if (made) expect(wrong).toEqual([]);
  else expect(wrong).not.toContain("IPv4 header checksum");
  expect(wrong.filter((fault) => fault.startsWith("length"))).toEqual([]);
  // layer 4 is unchanged
  const untouched = !made && header?.src === before.ip?.src && header?.dst === before.ip?.dst;
  if (untouched) expect(left.subarray(14 + 40)).toEqual(frame.subarray(14 + 40));
}

test("random bytes", () => {
  const frame = fc.uint8Array({ minLength: 14, maxLength: 200 }).map((data) => Buffer.from(data));
  fc.assert(
    fc.property(port, frame.filter(runnable), (from, data) => sound(data, bench.run(from, data))),
    { numRuns: RUNS },
  );
});

test("random bytes after an Ethernet header of either family", () => {
  const type = fc.constantFrom(ETH.ip4, ETH.ip6, ETH.arp);
  const data = fc.uint8Array({ minLength: 40, maxLength: 1500 });
  fc.assert(
    fc.property(port, type, data, fc.integer({ min: 4, max: 6 }), (from, protocol, payload, version) => {
      payload[0] = (version << 4) | ((payload[0] ?? 0) & 15);
      const frame = fromA({ type: protocol, bytes: Buffer.from(payload) });
      sound(frame, bench.run(from, frame));
    }),
    { numRuns: RUNS },
  );
});

const addresses4 = [A4, B4, GW4, NODE1.own4, NODE2.pod4, "10.244.1.99", "224.0.0.1", "127.0.0.1", "169.254.0.1"];
const addresses6 = [A6, B6, GW6, NODE1.own6, NODE2.pod6, "fe80::1", "fe80::2", "ff02::1", "::1", "::"];

test("valid packets with changed bytes, truncated or extended", () => {
  const pair = fc.oneof(
    fc.tuple(fc.constantFrom(...addresses4), fc.constantFrom(...addresses4)),
    fc.tuple(fc.constantFrom(...addresses6), fc.constantFrom(...addresses6)),
  );
  const change = fc.tuple(fc.nat(100), fc.nat(255));
  const size = fc.constantFrom(0, 1, 8, 100, 1400, 1500, 3000);
  const ttl = fc.constantFrom(0, 1, 2, 64, 255);
  const layer4 = fc.constantFrom(dns, (data: Buffer) => tcp({ sport: 1, dport: 2 }, data));
  const changes = fc.array(change, { maxLength: 3 });
  fc.assert(
    fc.property(port, pair, size, ttl, layer4, changes, fc.integer({ min: -60, max: 60 }), (from, ...rest) => {
      const [[src, dst], length, hops, make, changed, stretch] = rest;
      const wrap = from === "host" ? fromHost : fromA;
      const good = wrap(ip({ src, dst, ttl: hops }, make(bytes(length))));
      const frame = Buffer.concat([good, Buffer.alloc(Math.max(0, stretch))]);
      for (const [at, value] of changed) if (at < frame.length && at !== 12 && at !== 13) frame[at] = value;
      const cut = frame.subarray(0, frame.length + Math.min(0, stretch));
      fc.pre(runnable(cut));
      sound(cut, bench.run(from, cut));
    }),
    { numRuns: RUNS },
  );
});

test("no packet with a foreign source address leaves a pod", () => {
  const address = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }).map((octets) => [...octets].join(".")),
    fc.constantFrom(...addresses4, ...addresses6),
  );
  fc.assert(
    fc.property(address, (src) => {
      fc.pre(src !== A4 && src !== A6);
      const outcome = bench.run(A.device, fromA(ip({ src, dst: src.includes(":") ? B6 : B4 }, dns())));
      expect(outcome.out).toBeUndefined();
      const link = src.startsWith("fe80") || src.startsWith("169.254");
      expect(outcome.drops).toEqual([link ? "LINK_LOCAL" : "SPOOFED"]);
    }),
    { numRuns: 500 },
  );
  expect(bench.run(A.device, fromA(ip({ src: A4, dst: B4 }, dns()))).out).toBe(`peer router:${B.device}`);
});
