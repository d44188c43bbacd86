import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fragmentHeader, icmp, icmp6, ip, ip4, ip6, type Layer3, PROTO, raw, udp } from "../../test/packets.ts";
import { familyOf } from "../model/ip.ts";
import { flowTime } from "./flow-states.ts";
import { ACK, Connection, FIN, RST, SYN, SYN_ACK } from "./testing/connection.ts";
import { type Asked, type Told, Tracker } from "./testing/tracking.ts";

/** What anybody may send, and when: to fill one bucket, to end others' flows, to be taken for another flow. */

const ENDS: readonly (readonly [string, string])[] = [
  ["10.0.0.1", "10.0.0.2"],
  ["fd00::1", "fd00::2"],
];
const DAY = 24 * 3600;
const YEAR = 365 * DAY;

let tracker: Tracker;
beforeAll(() => {
  tracker = new Tracker();
});
afterAll(() => tracker?.close());
let zones = 100;
const zone = (): number => zones++;
const track = (packet: Layer3, asked: Asked): Told => tracker.track(packet, asked);
const connect = (): Connection => new Connection(tracker, zone());

describe("flows with chosen tuples", () => {
  const FLOWS = 4096;
  const word = (n: number): string => n.toString(16);
  const FAMILIES: readonly (readonly [
    string,
    (n: number) => { src: string; dst: string; sport: number; dport: number },
  ])[] = [
    ["one port after the other", (n) => ({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1024 + n, dport: 80 })],
    ["ports with the same sum", (n) => ({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1024 + n, dport: 60_000 - n })],
    ["ports with the same difference", (n) => ({ src: "10.0.0.1", dst: "10.0.0.2", sport: n, dport: n + 9000 })],
    ["the same port at both ends", (n) => ({ src: "10.0.0.1", dst: "10.0.0.2", sport: n, dport: n })],
    ["ports 16 apart", (n) => ({ src: "10.0.0.1", dst: "10.0.0.2", sport: (n * 16) & 0xffff, dport: n >> 4 })],
    [
      "addresses and ports with the same sum",
      (n) => ({ src: `10.0.${n >> 8}.${n & 255}`, dst: "10.1.0.2", sport: 9000 - n, dport: 80 }),
    ],
    [
      "addresses that only differ in their first bytes",
      (n) => ({ src: `${10 + (n >> 8)}.${n & 255}.0.1`, dst: "192.0.2.1", sport: 1, dport: 2 }),
    ],
    ["IPv6 addresses, low words", (n) => ({ src: `fd00::${word(n)}`, dst: "fd00:1::", sport: 1, dport: 2 })],
    ["IPv6 addresses, high words", (n) => ({ src: `fd00:${word(n)}::`, dst: "fd01::", sport: 1, dport: 2 })],
    [
      "IPv6 addresses, two words against each other",
      (n) => ({ src: `fd00:0:0:${word(n)}:0:0:0:${word(FLOWS - n)}`, dst: "fd01::", sport: 1, dport: 2 }),
    ],
    [
      "IPv6 ends that swap a word",
      (n) => ({ src: `fd00::${word(n)}:0`, dst: `fd01::${word(FLOWS - n)}:0`, sport: 1, dport: 2 }),
    ],
  ];
  let own: Tracker;
  beforeAll(() => {
    own = new Tracker({ buckets: 512 });
    own.table.setQuota(own.table.ways);
  });
  afterAll(() => own?.close());

  // 8 a bucket, if they are spread: that one of 512 gets more than its 32 happens to one table in 10^7
  test.each(FAMILIES)("%s, are spread over all buckets", async (_, flow) => {
    const asked = { zone: zone(), owner: zones };
    for (let n = 0; n < FLOWS; n++) {
      const { sport, dport, ...ends } = flow(n);
      const told = own.track(ip(ends, udp({ sport, dport })), asked);
      if (told.result !== "opened") throw new Error(`flow ${n} is ${told.result}`);
    }
    expect(own.table.owner(asked.owner)).toMatchObject({
      held: FLOWS,
      opened: BigInt(FLOWS),
      replaced: 0n,
      refused: 0n,
    });
    await own.table.remove({ zone: asked.zone });
  });

  test("are in other buckets in each table", () => {
    const other = new Tracker({ buckets: 512 });
    const places = [own, other].map((one) => {
      const at = { zone: 7 };
      return Array.from(
        { length: 100 },
        (_, n) => one.track(ip({ src: "10.0.0.1", dst: "10.0.0.2" }, udp({ sport: n, dport: 80 })), at).place >> 5,
      );
    });
    other.close();
    const same = places[0]?.filter((bucket, n) => bucket === places[1]?.[n]).length ?? 100;
    expect(same).toBeLessThan(20); // 0.2 by chance
  });
});

describe("both directions of a flow on two processors at once", () => {
  const flows = 5000;
  const TCP = { protocol: PROTO.tcp, flows };
  let own: Tracker;
  beforeAll(() => {
    own = new Tracker({ buckets: 1024 });
    own.table.setQuota(own.table.ways);
  });
  afterAll(() => own?.close());

  test("open one row, whose reverse direction one of them has", async () => {
    for (let round = 1; round <= 5; round++) {
      own.prepare({ work: "insert", flows, zone: round }, 0);
      own.prepare({ work: "insert-answer", flows, zone: round }, 1);
      await Promise.all([own.runBeside(flows, 0), own.runBeside(flows, 1)]);
      const [one, other] = [own.counted(0), own.counted(1)];
      expect([one.opened + other.opened, one.found + other.found]).toEqual([flows, flows]);
      // who has found a flow, and not opened it, goes the other way
      expect([one.reversed, other.reversed]).toEqual([one.found, other.found]);
      expect(own.table.owner(1).held).toBe(flows);
      expect(await own.table.remove({ zone: round })).toBe(flows);
    }
  });

  test("close it, each FIN counted", async () => {
    for (let round = 1; round <= 5; round++) {
      const of = { ...TCP, zone: round };
      expect(own.burst({ work: "open", ...of })).toMatchObject({ opened: flows });
      expect(own.burst({ work: "see-answer", flags: SYN_ACK, ...of })).toMatchObject({ found: flows, reversed: flows });
      own.burst({ work: "see", ...of });
      own.prepare({ work: "see", flags: FIN, ...of }, 0);
      own.prepare({ work: "see-answer", flags: FIN, ...of }, 1);
      await Promise.all([own.runBeside(flows, 0), own.runBeside(flows, 1)]);
      const states = new Map<string, number>();
      for (const { state } of own.table.rows()) states.set(state, (states.get(state) ?? 0) + 1);
      expect(Object.fromEntries(states)).toEqual({ "tcp-closed": flows });
      await own.table.remove({ zone: round });
    }
  });
});

describe("time", () => {
  const send = (own: Asked) => track(ip({ src: "10.0.0.1", dst: "10.0.0.2" }, udp({ sport: 1, dport: 2 })), own);

  test("wraps around: flows live through it, and end after it", () => {
    const own = { zone: zone() };
    const wrap = ((2 ** 32 - flowTime()) * 2 ** 27) / 1e9;
    const results = [-10, 10, 15, 60].map((at) => send({ ...own, later: wrap + at }).result);
    expect(results).toEqual(["opened", "found", "found", "opened"]);
  });

  test.each([1, 2, 4, 8])("a flow that ended %d years ago is none", (years) => {
    const own = { zone: zone() };
    expect(send(own).result).toBe("opened");
    expect(send({ ...own, later: years * YEAR })).toMatchObject({ result: "opened", state: "udp-new" });
  });
});

describe.each(ENDS)("from %s to %s", (src, dst) => {
  const family = familyOf(src);
  const router = family === 4 ? "10.9.9.9" : "fd00::9";
  const error = (quoted: Buffer) => (family === 4 ? icmp({ type: 3 }, quoted) : icmp6({ type: 1 }, quoted));
  const errorTo = (to: string, quoted: Layer3): Layer3 => ip({ src: router, dst: to }, error(quoted.bytes));

  /** A part of a datagram between port 1 and port 2; `offset` in units of 8 bytes. */
  function part(id: number, offset: number, from = src, to = dst, ports = { sport: 1, dport: 2 }): Layer3 {
    const head = udp(ports, Buffer.alloc(16))({ family: 4, src: Buffer.alloc(4), dst: Buffer.alloc(4) });
    const layer4 = raw(PROTO.udp, offset === 0 ? head.bytes : Buffer.alloc(24));
    if (family === 4) return ip4({ src: from, dst: to, id, offset, mf: true }, layer4);
    return ip6({ src: from, dst: to, extensions: [fragmentHeader(offset, true, id)] }, layer4);
  }

  test.each([
    ["UDP without a source port", PROTO.udp, [0, 0, 0, 53, 0, 8, 0, 0], [0, 53, 0, 0, 0, 8, 0, 0]],
    ["SCTP", 132, [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0], [0, 2, 0, 1, 9, 9, 9, 9, 0, 0, 0, 0]],
    ["GRE", 47, [0, 0, 8, 0], [0, 0, 8, 0]],
    ["ESP", 50, [1, 2, 3, 4], [5, 6, 7, 8]],
    ["a protocol that nobody knows", 253, [], [1]],
  ])("%s has one flow both ways", (_, protocol, out, back) => {
    const own = { zone: zone() };
    const first = track(ip({ src, dst }, raw(protocol, Buffer.from(out))), own);
    expect(first).toMatchObject({ result: "opened", reversed: false });
    const answer = track(ip({ src: dst, dst: src }, raw(protocol, Buffer.from(back))), own);
    expect(answer).toMatchObject({ result: "found", reversed: true, place: first.place });
    expect(track(ip({ src, dst }, raw(protocol, Buffer.from(out))), own)).toMatchObject({
      result: "found",
      reversed: false,
    });
    const row = [...tracker.table.rows()].find((one) => one.zone === own.zone);
    expect(row?.state).toMatch(/-established$/);
  });

  test("a packet to its own sender opens a separate flow", () => {
    const own = { zone: zone() };
    const first = track(ip({ src, dst: src }, udp({ sport: 5, dport: 5 })), own);
    expect(first).toMatchObject({ result: "opened", reversed: false });
    expect(track(ip({ src, dst: src }, udp({ sport: 5, dport: 5 })), own)).toMatchObject({
      result: "found",
      place: first.place,
    });
  });

  test("protocols with the same ports have separate flows", () => {
    const own = { zone: zone() };
    const bytes = Buffer.from([0, 1, 0, 2, 0, 8, 0, 0, 0, 0, 0, 0]);
    const places = [17, 132, 33, 136].map((protocol) => track(ip({ src, dst }, raw(protocol, bytes)), own).place);
    expect(new Set(places).size).toBe(4);
  });

  test("ICMP errors about fragments find the flow, by any quoted fragment", () => {
    const own = { zone: zone() };
    const first = track(part(7, 0), own);
    for (const offset of [0, 3]) {
      expect(track(errorTo(src, part(7, offset)), own)).toMatchObject({
        result: "found",
        error: true,
        place: first.place,
      });
    }
    track(part(8, 0, dst, src, { sport: 2, dport: 1 }), own);
    for (const offset of [0, 3]) {
      const told = track(errorTo(dst, part(8, offset, dst, src, { sport: 2, dport: 1 })), own);
      expect(told).toMatchObject({ result: "found", error: true, reversed: true, place: first.place });
    }
    expect(track(errorTo(src, part(9, 3)), own)).toMatchObject({ result: "missed", error: true });
  });

  test("an ICMP error does not assign a datagram to a flow", () => {
    const own = { zone: zone() };
    track(part(7, 0), own);
    const { held } = tracker.table.owner(1);
    for (let id = 100; id < 120; id++) track(errorTo(src, part(id, 0)), own);
    expect(tracker.table.owner(1).held).toBe(held);
    expect(track(part(100, 3), own).result).toBe("missed");
  });

  test("ICMP errors about a translated flow find it by all four forms, and its fragments'", () => {
    const own = { zone: zone() };
    const first = track(ip({ src, dst }, udp({ sport: 1, dport: 2 })), {
      ...own,
      translate: { srcPort: 1001, dstPort: 2002 },
    });
    const forms = [
      [src, dst, 1, 2],
      [src, dst, 1001, 2002],
      [dst, src, 2002, 1001],
      [dst, src, 2, 1],
    ] as const;
    const expected = [
      [false, false],
      [false, true],
      [true, true],
      [true, false],
    ];
    const found = forms.map(([from, to, sport, dport]) =>
      track(errorTo(from, ip({ src: from, dst: to }, udp({ sport, dport }))), own),
    );
    expect(found.map(({ reversed, translated }) => [reversed, translated])).toEqual(expected);
    const later = forms.map(([from, to, sport, dport], index) => {
      track(part(50 + index, 0, from, to, { sport, dport }), own);
      return track(errorTo(from, part(50 + index, 3, from, to)), own);
    });
    expect(later.map(({ reversed, translated }) => [reversed, translated])).toEqual(expected);
    for (const one of [...found, ...later])
      expect(one).toMatchObject({ result: "found", error: true, place: first.place });
  });
});

describe("TCP", () => {
  test("two ends that open at once have one connection", () => {
    const connection = connect();
    expect(connection.out(SYN, 1000).state).toBe("tcp-new");
    expect(connection.back(SYN, 5000).state).toBe("tcp-replied");
    connection.out(SYN_ACK, 1000, 5001);
    connection.back(SYN_ACK, 5000, 1001);
    expect(connection.out(ACK, 1001, 5001).state).toBe("tcp-established");
    // both windows are known
    expect(connection.out(RST, 0x60000000).state).toBe("tcp-established");
    expect(connection.back(RST, 0x60000000).state).toBe("tcp-established");
  });

  test.each([
    ["from the same side", (c: Connection, asked: Asked) => c.out(SYN, 9000, 0, asked)],
    ["from the other side", (c: Connection, asked: Asked) => c.back(SYN, 9000, 0, asked)],
  ])("a port that is used again before its TIME_WAIT is over, %s, is a new connection", (_, begin) => {
    const connection = connect();
    connection.open();
    connection.out(FIN, 1001, 5001);
    connection.back(FIN, 5001, 1002);
    expect(connection.out(ACK, 1002, 5002).state).toBe("tcp-closed");
    expect(begin(connection, { later: 20 })).toMatchObject({ result: "opened", again: true, state: "tcp-new" });
    // the old one's last segment again closes nothing
    expect(connection.back(FIN, 5001, 1002, { later: 20 }).state).not.toBe("tcp-closed");
  });

  test("an end that has lost the connection resets it and opens a new one", () => {
    const connection = connect().open();
    expect(connection.out(SYN, 70_000)).toMatchObject({ state: "tcp-established", again: false });
    connection.back(ACK, 5001, 1001); // it is not what I expected (RFC 5961)
    expect(connection.out(RST, 1001).state).toBe("tcp-reset");
    expect(connection.out(SYN, 70_000)).toMatchObject({ result: "opened", again: true, state: "tcp-new" });
  });

  test.each([
    [
      "the opener",
      (c: Connection) => c.out(RST, 1500),
      (c: Connection, asked: Asked) => c.back(ACK, 5001, 1001, asked),
    ],
    [
      "the answerer",
      (c: Connection) => c.back(RST, 5500),
      (c: Connection, asked: Asked) => c.out(ACK, 1001, 5001, asked),
    ],
  ])("a forged RST of %s that hits the window ends nothing that goes on", (_, forge, answer) => {
    const connection = connect().open();
    expect(forge(connection).state).toBe("tcp-reset");
    expect(answer(connection, {}).state).toBe("tcp-established");
    expect(answer(connection, { later: 4 * DAY })).toMatchObject({ result: "found", state: "tcp-established" });
  });

  test("a reset connection stays reset, with any packet of the end that reset it", () => {
    const connection = connect().open();
    connection.out(RST, 1001);
    expect(connection.out(ACK, 1001, 5001).state).toBe("tcp-reset");
    connection.back(RST, 5001);
    expect(connection.out(ACK, 1001, 5001).state).toBe("tcp-reset");
  });

  test("a half-closed connection that was reset by force is half-closed again", () => {
    const connection = connect().open();
    connection.out(FIN, 1001, 5001);
    connection.out(RST, 1100);
    expect(connection.back(ACK, 5001, 1002).state).toBe("tcp-half-closed");
    expect(connection.back(FIN, 5001, 1002).state).toBe("tcp-closed");
  });

  test("a flood of SYNs for an open connection does not change it", () => {
    const connection = connect().open();
    for (let n = 0; n < 1000; n++) connection[n % 2 ? "out" : "back"](SYN, n * 4_000_000);
    expect(connection.out(RST, 0x60000000).state).toBe("tcp-established");
    expect(connection.out(ACK, 1001, 5001, { later: DAY })).toMatchObject({
      result: "found",
      state: "tcp-established",
    });
    expect(connection.out(RST, 1001).state).toBe("tcp-reset");
  });

  test("a reply to another SYN does not change its sender's window", () => {
    const connection = connect();
    connection.out(SYN, 1000);
    connection.back(SYN_ACK, 0x50000000, 77); // forged
    connection.back(SYN_ACK, 5000, 1001);
    expect(connection.out(ACK, 1001, 5001).state).toBe("tcp-established");
    expect(connection.back(RST, 0x50000001).state).toBe("tcp-established");
    expect(connection.back(RST, 5001).state).toBe("tcp-reset");
  });
});
