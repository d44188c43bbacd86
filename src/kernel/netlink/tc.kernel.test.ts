import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNamespace, inNamespace, removeNamespace } from "../namespace.ts";
import { writeSysctl } from "../sysctl.ts";
import { runName } from "../testdata/harness.ts";
import { addAddress } from "./ifaddr.ts";
import { createVeth, ifindexOf, setLink } from "./link.ts";
import { addNeighbour } from "./route.ts";
import {
  changeTc,
  classBacklogs,
  classes,
  formatHandle,
  handle,
  htbRates,
  qdiscs,
  type TcChange,
  TcError,
} from "./tc.ts";

const name = runName("tc");
let netns: string;
beforeAll(() => {
  netns = createNamespace(name);
  // without IPv6 only the tests send packets
  writeSysctl("net/ipv6/conf/default/disable_ipv6", 1, netns);
  createVeth({ name: "w0", peer: { name: "w1" } }, netns);
  for (const device of ["w0", "w1"]) setLink(device, { up: true }, netns);
  addAddress("w0", "10.0.0.1/24", {}, netns);
  addNeighbour({ device: "w0", address: "10.0.0.2", mac: "02:00:00:00:00:02" }, netns);
});
afterAll(() => removeNamespace(name));

function tc(...args: string[]): string {
  return execFileSync("nsenter", [`--net=${netns}`, "tc", "-d", ...args], { encoding: "utf8" });
}

const htb = (rate: number | bigint, burst: number, prio = 0) => ({ rate, burst, quantum: 3000, prio });
const tree: TcChange[] = [
  { op: "set", kind: "htb", handle: handle(1), defaultClass: 0x20 },
  { op: "set", kind: "htb-class", handle: handle(1, 1), parent: handle(1), htb: htb(100_000_000, 20_000) },
  { op: "set", kind: "htb-class", handle: handle(1, 0x10), parent: handle(1, 1), htb: htb(8_000, 20_000) },
  {
    op: "set",
    kind: "htb-class",
    handle: handle(1, 0x20),
    parent: handle(1, 1),
    htb: { ...htb(8_000, 5_000, 1), ceil: 100_000_000n },
  },
  { op: "set", kind: "bfifo", handle: handle(0x10), parent: handle(1, 0x10), limit: 30_000 },
  { op: "set", kind: "bfifo", handle: handle(0x20), parent: handle(1, 0x20), limit: 3_000 },
];

test("a tree of classes is created in one batch, as tc shows it", () => {
  changeTc("w0", tree, netns);
  changeTc("w0", tree, netns);
  expect(tc("qdisc", "show", "dev", "w0")).toMatch(
    /qdisc htb 1: root.* default 0x20[\s\S]*bfifo 10: parent 1:10 limit 30000b/,
  );
  expect(tc("class", "show", "dev", "w0")).toMatch(
    /class htb 1:1 root rate 100Mbit ceil 100Mbit .*burst (20000b|19998b)/,
  );
  expect(tc("class", "show", "dev", "w0")).toMatch(
    /class htb 1:20 parent 1:1 .*prio 1 quantum 3000 rate 8Kbit ceil 100Mbit/,
  );
  const listed = classes("w0", netns).filter(({ kind }) => kind === "htb");
  expect(listed.map((found) => formatHandle(found.handle)).sort()).toEqual(["1:1", "1:10", "1:20"]);
  expect(listed.find((found) => found.handle === handle(1, 0x20))?.htb).toEqual({
    rate: 8_000n,
    ceil: 100_000_000n,
    quantum: 3000,
    prio: 1,
  });
});

test.each([
  ["beyond 32 bits of bytes a second", 400_000_000_000n],
  ["5 Gbit/s", 5_000_000_000],
  ["1 bit/s is a byte", 1],
])("a class's rate changes in place: %s", (_what, rate) => {
  const change: TcChange = {
    op: "set",
    kind: "htb-class",
    handle: handle(1, 1),
    parent: handle(1),
    htb: htb(rate, 65_000),
  };
  changeTc("w0", [change], netns);
  const found = classes("w0", netns).find((entry) => entry.handle === handle(1, 1));
  expect(found?.htb?.rate).toBe(rate === 1 ? 8n : BigInt(rate));
});

test("classes count sent, queued and dropped packets", () => {
  const ping = ["ping", "-c5", "-i0.01", "-W1", "-s1400", "-q", "10.0.0.2"];
  expect(() => execFileSync("nsenter", [`--net=${netns}`, ...ping], { stdio: "ignore" })).toThrow();
  const found = classes("w0", netns).find((entry) => entry.handle === handle(1, 0x20));
  const absent = handle(1, 0xfff);
  expect([...classBacklogs("w0", [handle(1, 0x20), absent], netns)]).toEqual([[handle(1, 0x20), found?.stats.backlog]]);
  const stats = found?.stats ?? { packets: 0n, bytes: 0n, drops: 0, backlog: 0 };
  expect(Number(stats.packets) + stats.drops + stats.backlog / 1442).toBe(5);
  expect(stats.packets).toBeGreaterThan(0n);
  expect(stats.bytes).toBe(stats.packets * 1442n);
});

test("a token bucket under a class, changed in place", () => {
  const leaf = { op: "set", kind: "tbf", handle: handle(0x20), parent: handle(1, 0x20), rate: 400e9 } as const;
  const gone: TcChange = { op: "remove", kind: "qdisc", parent: leaf.parent };
  changeTc("w0", [gone, { ...leaf, burst: 80_000, limit: 50_000 }], netns);
  changeTc("w0", [{ ...leaf, burst: 160_000, limit: 60_000 }], netns);
  expect(tc("qdisc", "show", "dev", "w0")).toMatch(
    /qdisc tbf 20: parent 1:20 rate 400Gbit burst 1[56]\d{4}b.* limit 60000b/,
  );
  expect(() => changeTc("w0", [gone, tree.at(-1) as TcChange], netns)).not.toThrow();
});

test("refused changes are listed, the others are in force, removing a missing one succeeds", () => {
  const changes: TcChange[] = [
    { op: "set", kind: "bfifo", handle: handle(0x30), parent: handle(1, 0x30), limit: 1 },
    { op: "set", kind: "bfifo", handle: handle(0x10), parent: handle(1, 0x10), limit: 44_000 },
    { op: "remove", kind: "class", handle: handle(1, 0x99) },
    { op: "remove", kind: "class", handle: handle(1, 1) },
  ];
  let error: unknown;
  try {
    changeTc("w0", changes, netns);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(TcError);
  expect((error as TcError).failures.map(({ index }) => index)).toEqual([0, 3]);
  expect((error as TcError).message).toMatch(/^change traffic control of device w0: 2 of 4 refused: E/);
  expect((error as TcError).failures[1]?.error.errno).toBe("EBUSY");
  expect(tc("qdisc", "show", "dev", "w0")).toContain("limit 44000b");
});

test("hundreds of classes are created and removed in batches", () => {
  const many = Array.from({ length: 500 }, (_, i): TcChange[] => [
    {
      op: "set",
      kind: "htb-class",
      handle: handle(1, 0x100 + i),
      parent: handle(1),
      htb: htb(1_000_000 * (i + 1), 3_000),
    },
    { op: "set", kind: "bfifo", handle: handle(0x100 + i), parent: handle(1, 0x100 + i), limit: 60_000 },
  ]).flat();
  changeTc("w0", many, netns);
  const all = classes("w0", netns).filter(({ kind }) => kind === "htb");
  expect(all).toHaveLength(503);
  const queues = new Map(qdiscs(netns, "w0").map(({ parent, handle }) => [parent, handle]));
  expect(htbRates("w0", netns)).toEqual(
    all.map((one) => ({
      handle: one.handle,
      rate: one.htb?.rate,
      quantum: one.htb?.quantum,
      queue: queues.get(one.handle) ?? 0,
    })),
  );
  expect(qdiscs(netns, "w0")).toHaveLength(503);
  changeTc("w0", [{ op: "remove", kind: "class", handle: handle(1, 0x100) }], netns);
  expect(classes("w0", netns).filter(({ kind }) => kind === "htb")).toHaveLength(502);
  const root: TcChange = { op: "remove", kind: "qdisc", handle: handle(1), parent: 0xffffffff };
  changeTc("w0", [root], netns);
  changeTc("w0", [root], netns);
  expect(classes("w0", netns)).toEqual([]);
  expect(inNamespace(netns, () => ifindexOf("w0"))).toBeGreaterThan(0);
});
