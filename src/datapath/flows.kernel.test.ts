import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { echo, icmp, icmp6, ip, ip4, ip6, type Layer3, type Layer4, PROTO, raw, tcp, udp } from "../../test/packets.ts";
import { familyOf } from "../model/ip.ts";
import { ACK, Connection, FIN, RST, RST_ACK, SYN, SYN_ACK } from "./testing/connection.ts";
import { type Asked, type Told, Tracker } from "./testing/tracking.ts";

/** Addresses of initiator and responder, for both families. */
const ENDS: readonly (readonly [string, string])[] = [
  ["10.0.0.1", "10.0.0.2"],
  ["fd00::1", "fd00::2"],
];

let tracker: Tracker;
beforeAll(() => {
  tracker = new Tracker();
});
afterAll(() => tracker?.close());

let zones = 100;
/** A zone that no other test uses. */
const zone = (): number => zones++;

const track = (packet: Layer3, asked: Asked): Told => tracker.track(packet, asked);

/** A TCP connection in a zone of its own. */
const connect = (): Connection => new Connection(tracker, zone());

/** An ICMP error that quotes a packet. @param type ICMP type of its family */
function errorAbout(quoted: Buffer, family: 4 | 6, type = family === 4 ? 3 : 1): Layer4 {
  return family === 4 ? icmp({ type }, quoted) : icmp6({ type }, quoted);
}

describe.each(ENDS)("from %s to %s", (src, dst) => {
  const family = familyOf(src);
  const router = family === 4 ? "10.9.9.9" : "fd00::9";

  test("both directions of a flow find one row", () => {
    const own = { zone: zone() };
    const first = track(ip({ src, dst }, udp({ sport: 1, dport: 2 })), own);
    const answer = track(ip({ src: dst, dst: src }, udp({ sport: 2, dport: 1 })), own);
    expect(first).toMatchObject({ result: "opened", state: "udp-new", reversed: false });
    expect(answer).toMatchObject({ result: "found", state: "udp-established", reversed: true, place: first.place });
  });

  test("a packet with another zone, protocol, address or port is another flow", () => {
    const own = { zone: zone() };
    const places = [
      track(ip({ src, dst }, udp({ sport: 1, dport: 2 })), own),
      track(ip({ src, dst }, udp({ sport: 1, dport: 2 })), { zone: zone() }),
      track(ip({ src, dst }, tcp({ sport: 1, dport: 2, flags: SYN })), own),
      track(ip({ src, dst }, udp({ sport: 2, dport: 1 })), own),
      track(ip({ src, dst }, udp({ sport: 1, dport: 3 })), own),
      track(ip({ src: dst, dst }, udp({ sport: 1, dport: 2 })), own),
    ].map(({ result, place }) => [result, place]);
    expect(places.map(([result]) => result)).toEqual(places.map(() => "opened"));
    expect(new Set(places.map(([, place]) => place)).size).toBe(places.length);
  });

  test("a translated flow has one row for all four forms of its packets", () => {
    const own = { zone: zone() };
    const first = track(ip({ src, dst }, tcp({ sport: 7, dport: 80, flags: SYN, seq: 10 })), {
      ...own,
      translate: { dstPort: 8080, srcPort: 7007 },
      service: 42,
    });
    const forms = [
      track(ip({ src: dst, dst: src }, tcp({ sport: 8080, dport: 7007, flags: SYN_ACK, seq: 20, ack: 11 })), own),
      track(ip({ src, dst }, tcp({ sport: 7007, dport: 8080, seq: 11, ack: 21 })), own),
      track(ip({ src: dst, dst: src }, tcp({ sport: 80, dport: 7, seq: 21, ack: 11 })), own),
      track(ip({ src, dst }, tcp({ sport: 7, dport: 80, seq: 11, ack: 21 })), own),
    ];
    expect(first).toMatchObject({ result: "opened", state: "tcp-new", translated: false });
    expect(forms.map(({ reversed, translated, state }) => [reversed, translated, state])).toEqual([
      [true, true, "tcp-replied"],
      [false, true, "tcp-established"],
      [true, false, "tcp-established"],
      [false, false, "tcp-established"],
    ]);
    for (const form of forms) expect(form).toMatchObject({ result: "found", place: first.place, service: 42 });
  });

  test("a translated tuple in use by another flow is refused", () => {
    const own = { zone: zone(), translate: { srcPort: 7007 } };
    expect(track(ip({ src, dst }, udp({ sport: 1, dport: 53 })), own).result).toBe("opened");
    expect(track(ip({ src, dst }, udp({ sport: 2, dport: 53 })), own).result).toBe("taken");
    expect(track(ip({ src, dst }, udp({ sport: 7007, dport: 53 })), { zone: own.zone }).result).toBe("found");
    // once the first flow has expired, its tuple is free
    const later = { ...own, later: 40 };
    expect(track(ip({ src, dst }, udp({ sport: 2, dport: 53 })), later).result).toBe("opened");
    expect(track(ip({ src, dst }, udp({ sport: 1, dport: 53 })), later).result).toBe("taken");
  });

  test("ICMP echoes are tracked by their identifier", () => {
    const own = { zone: zone() };
    const reply = (id: number) => (family === 4 ? icmp({ type: 0, id, seq: 9 }) : icmp6({ type: 129, id, seq: 9 }));
    const first = track(ip({ src, dst }, echo(family, undefined, { id: 5, seq: 1 })), own);
    expect(first).toMatchObject({ result: "opened", state: "icmp-echo" });
    expect(track(ip({ src, dst }, echo(family, undefined, { id: 5, seq: 2 })), own).place).toBe(first.place);
    expect(track(ip({ src: dst, dst: src }, reply(5)), own)).toMatchObject({ result: "found", reversed: true });
    expect(track(ip({ src: dst, dst: src }, reply(6)), own).result).toBe("opened");
  });

  test.each([
    ["about a packet of the opener's", false],
    ["about a packet of the answerer's", true],
  ])("an ICMP error %s finds its flow", (_, reversed) => {
    const own = { zone: zone() };
    const sent = ip({ src, dst }, udp({ sport: 1, dport: 2 }));
    const answer = ip({ src: dst, dst: src }, udp({ sport: 2, dport: 1 }));
    const first = track(sent, own);
    track(answer, own);
    const [quoted, to] = reversed ? [answer.bytes, dst] : [sent.bytes, src];
    for (const type of family === 4 ? [3, 11, 12] : [1, 2, 3, 4]) {
      const told = track(ip({ src: router, dst: to }, errorAbout(quoted, family, type)), own);
      const found = { result: "found", error: true, reversed, place: first.place, state: "udp-established" };
      expect(told).toMatchObject(found);
    }
  });

  test("an ICMP error that quotes only eight bytes of layer 4 of a translated packet finds its flow", () => {
    const own = { zone: zone() };
    const first = track(ip({ src, dst }, tcp({ sport: 7, dport: 80, flags: SYN })), {
      ...own,
      translate: { dstPort: 8080 },
    });
    const quoted = ip({ src, dst }, tcp({ sport: 7, dport: 8080, flags: SYN })).bytes;
    const cut = quoted.subarray(0, (family === 4 ? 20 : 40) + 8);
    expect(track(ip({ src: dst, dst: src }, errorAbout(cut, family)), own)).toMatchObject({
      ...{ result: "found", error: true, translated: true, reversed: false, place: first.place, state: "tcp-new" },
    });
  });

  test("an ICMP error about an unknown flow opens none; an error about an error has no flow", () => {
    const own = { zone: zone() };
    const error = (data: Buffer) => errorAbout(data, family);
    const stray = ip({ src, dst }, udp({ sport: 9, dport: 9 })).bytes;
    expect(track(ip({ src: dst, dst: src }, error(stray)), own)).toMatchObject({ result: "missed", error: true });
    expect(track(ip({ src: dst, dst: src }, error(ip({ src, dst }, error(stray)).bytes)), own).result).toBe("no-flow");
  });

  test("later fragments find the flow of their datagram", () => {
    const own = { zone: zone() };
    const part = (id: number, offset: number, more: boolean, from = src, to = dst): Layer3 => {
      const ports = udp(
        { sport: 1, dport: 2 },
        Buffer.alloc(16),
      )({ family: 4, src: Buffer.alloc(4), dst: Buffer.alloc(4) });
      const bytes = offset === 0 ? ports.bytes : Buffer.alloc(24);
      if (!src.includes(":")) return ip4({ src: from, dst: to, id, offset, mf: more }, raw(PROTO.udp, bytes));
      const header = Buffer.alloc(8);
      header.writeUInt16BE((offset << 3) | (more ? 1 : 0), 2);
      header.writeUInt32BE(id, 4);
      const extensions = [{ protocol: PROTO.fragment, bytes: header }];
      return ip6({ src: from, dst: to, extensions }, raw(PROTO.udp, bytes));
    };
    expect(track(part(77, 3, true), own).result).toBe("missed"); // it arrived before the first fragment
    const first = track(part(77, 0, true), own);
    expect(first.result).toBe("opened");
    for (const offset of [3, 6]) {
      expect(track(part(77, offset, offset === 3), own)).toMatchObject({
        result: "found",
        reversed: false,
        place: first.place,
      });
    }
    expect(track(part(78, 3, false), own).result).toBe("missed");
    expect(track(part(77, 3, false, dst, src), own).result).toBe("missed");
    expect(track(part(77, 3, false), { ...own, later: 10 }).result).toBe("missed");
  });
});

describe("TCP", () => {
  test("a three-way handshake opens a connection", () => {
    const connection = connect();
    expect(connection.out(SYN, 1000).state).toBe("tcp-new");
    expect(connection.out(SYN, 1000).state).toBe("tcp-new");
    expect(connection.back(SYN_ACK, 5000, 1001).state).toBe("tcp-replied");
    expect(connection.out(ACK, 1001, 5001).state).toBe("tcp-established");
  });

  test("a connection older than the table is opened by a segment each way", () => {
    const connection = connect();
    expect(connection.out(ACK, 77, 99)).toMatchObject({ result: "opened", state: "tcp-new" });
    expect(connection.back(ACK, 99, 77).state).toBe("tcp-replied");
    expect(connection.out(ACK, 77, 99).state).toBe("tcp-established");
  });

  test("a half-closed connection has the timeout of an open one", () => {
    const connection = connect().open();
    expect(connection.out(FIN, 1001, 5001).state).toBe("tcp-half-closed");
    expect(connection.back(ACK, 5001, 1002).state).toBe("tcp-half-closed");
    const hours = 4 * 24 * 3600;
    expect(connection.back(ACK, 5001, 1002, { later: hours })).toMatchObject({
      result: "found",
      state: "tcp-half-closed",
    });
    expect(connection.back(FIN, 5001, 1002, { later: 2 * hours }).state).toBe("tcp-closed");
    expect(connection.out(ACK, 1002, 5002, { later: 2 * hours + 100 }).result).toBe("found");
    expect(connection.out(ACK, 1002, 5002, { later: 2 * hours + 300 }).result).toBe("opened");
  });

  test.each([
    ["the opener's", (c: Connection, seq: number) => c.out(RST, seq), 1001],
    ["the answerer's", (c: Connection, seq: number) => c.back(RST_ACK, seq, 1001), 5001],
  ])("%s RST ends the connection only if it is within the window", (_, reset, next) => {
    for (const seq of [next - 2, next - 1_000_000, next + 200_000, next + 0x7fffffff]) {
      const connection = connect().open();
      expect([seq, reset(connection, seq >>> 0).state]).toEqual([seq, "tcp-established"]);
    }
    for (const seq of [next, next + 30_000]) {
      const connection = connect().open();
      expect([seq, reset(connection, seq).state]).toEqual([seq, "tcp-reset"]);
      expect(connection.out(ACK, 1001, 5001, { later: 15 }).result).toBe("opened");
    }
  });

  test("a FIN outside of the window is ignored", () => {
    const connection = connect().open();
    expect(connection.out(FIN, 0x7fffffff, 5001).state).toBe("tcp-established");
    expect(connection.back(FIN, 0x7fffffff, 1001).state).toBe("tcp-established");
  });

  test("windows follow acknowledgements, scaled by the SYN's option", () => {
    const scaled = (flags: number, seq: number, ack: number, shift: number) =>
      tcp({ sport: 80, dport: 4000, flags, seq, ack, options: Buffer.from([1, 3, 3, shift]) });
    const connection = connect();
    const back = (flags: number, seq: number, ack: number) =>
      track(ip({ src: "10.0.0.2", dst: "10.0.0.1" }, scaled(flags, seq, ack, 7)), { zone: connection.zone });
    connection.out(SYN, 1000);
    back(SYN_ACK, 5000, 1001);
    connection.out(ACK, 1001, 5001);
    back(ACK, 5001, 1001); // 65535 << 7 bytes from here
    expect(connection.out(FIN, 20_000_000, 5001).state).toBe("tcp-established");
    expect(connection.out(ACK, 8_000_000, 5001).state).toBe("tcp-established");
    back(ACK, 5001, 8_000_000);
    expect(connection.out(RST, 1001).state).toBe("tcp-established");
    expect(connection.out(RST, 16_000_000).state).toBe("tcp-reset");
  });

  test("acknowledgements outside of the window are ignored", () => {
    const connection = connect().open();
    connection.back(ACK, 0x70000000, 0x60000000); // as a blind attacker would send
    expect(connection.out(RST, 0x60000000).state).toBe("tcp-established");
    expect(connection.out(RST, 1001).state).toBe("tcp-reset");
  });

  test("a SYN within an open connection is ignored", () => {
    const connection = connect().open();
    expect(connection.out(SYN, 0x60000000)).toMatchObject({ state: "tcp-established", again: false });
    expect(connection.out(RST, 0x60000001).state).toBe("tcp-established");
  });

  test("a RST ends the attempt only if it acknowledges the SYN", () => {
    const stray = connect();
    stray.out(SYN, 1000);
    expect(stray.back(RST_ACK, 0, 77).state).not.toBe("tcp-reset");
    const refused = connect();
    refused.out(SYN, 1000);
    expect(refused.back(RST_ACK, 0, 1001).state).toBe("tcp-reset");
  });

  test.each([
    ["from the same side", (c: Connection, asked: Asked) => c.out(SYN, 9000, 0, asked)],
    ["from the other side", (c: Connection, asked: Asked) => c.back(SYN, 9000, 0, asked)],
  ])("a SYN after the end, %s, opens a new connection with its own translation", (_, begin) => {
    const connection = connect();
    connection.out(SYN, 1000, 0, { translate: { dstPort: 8080 } });
    const before = tracker.table.owner(1).held;
    connection.back(RST_ACK, 0, 1001);
    expect(begin(connection, { translate: { dstPort: 8081 } })).toMatchObject({
      ...{ result: "opened", again: true, state: "tcp-new" },
    });
    expect(tracker.table.owner(1).held).toBe(before);
    const [row] = [...tracker.table.rows()].filter((one) => one.zone === connection.zone && one.kind === "flow");
    expect(row?.translated.dstPort).toBe(8081);
  });
});

describe("timeouts", () => {
  test.each([
    ["an unanswered datagram", 17, false, 30],
    ["an answered one", 17, true, 180],
    ["another protocol", 132, true, 600],
  ])("%s", (_, protocol, answered, seconds) => {
    const own = { zone: zone() };
    const bytes = Buffer.from([0, 1, 0, 2, 0, 8, 0, 0]);
    const back = Buffer.from([0, 2, 0, 1, 0, 8, 0, 0]);
    const send = (later: number) =>
      track(ip({ src: "10.0.0.1", dst: "10.0.0.2" }, raw(protocol, bytes)), { ...own, later });
    expect(send(0).result).toBe("opened");
    if (answered) track(ip({ src: "10.0.0.2", dst: "10.0.0.1" }, raw(protocol, back)), own);
    expect(send(seconds - 10).result).toBe("found");
    // the packet before renewed it
    expect(send(seconds + 5).result).toBe("found");
    expect(send(2 * seconds + 10).result).toBe("opened");
  });

  test("can be set by userspace", () => {
    const own = { zone: zone() };
    const send = (later: number) =>
      track(ip({ src: "10.0.0.1", dst: "10.0.0.2" }, udp({ sport: 1, dport: 2 })), { ...own, later });
    tracker.table.setTimeouts({ "udp-new": 3000 });
    expect([send(0), send(2900), send(7000)].map(({ result }) => result)).toEqual(["opened", "found", "opened"]);
    tracker.table.setTimeouts({ "udp-new": 30 });
  });
});

test("packets that belong to no flow", () => {
  const own = { zone: zone() };
  const [src = "", dst = ""] = ENDS[1] ?? [];
  const none = [
    { type: 0x0806, bytes: Buffer.alloc(28) },
    ip({ src, dst }, icmp6({ type: 135 }, Buffer.alloc(16))),
    ip4({ src: "10.0.0.1", dst: "10.0.0.2" }, raw(PROTO.tcp, Buffer.alloc(6))),
    ip4({ src: "10.0.0.1", dst: "10.0.0.2", ihl: 4 }, udp({ sport: 1, dport: 2 })),
    ip4({ src: "10.0.0.1", dst: "10.0.0.2" }, icmp({ type: 3 }, Buffer.alloc(10))),
  ];
  expect(none.map((packet) => track(packet, own).result)).toEqual(none.map(() => "no-flow"));
});
