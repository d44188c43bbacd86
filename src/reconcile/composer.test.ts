import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Attachment, Delta, Fragment, PortSpec, Row } from "../model/document.ts";
import { rowId } from "../model/row-id.ts";
import { Composer } from "./composer.ts";
import { Follower } from "./testing/follower.ts";

const AUTHORS = ["nodes", "pods", "rules"] as const;
const composer = () => new Composer({ authors: AUTHORS, maxChain: 3 });

const port = (name: string, device = name): PortSpec => ({
  ...{ instance: "router", name, entry: device },
  peer: { kind: "device", device, delivery: "peer" },
});
const at = (name: string, instance: string, order: number): Attachment => ({
  ...{ port: `router:${name}`, direction: "ingress", instance, order },
});
const row = (key: number, value: number): Row => ({ table: "t", key: { key }, value: { value } });

describe("two fragments with the same row", () => {
  const all = composer();
  all.set("pods", "b", { owner: "Pod/n/b", rows: () => [row(1, 2), row(2, 2)] });

  test("the earlier author's row is in the document, and the other's owner gets an outcome", () => {
    expect(all.take().rows.map(({ owner }) => owner)).toEqual(["pods b", "pods b"]);
    all.set("nodes", "n", { owner: "Node/n", rows: () => [row(1, 1)] });
    expect(all.take().rows).toEqual([{ owner: "nodes n", item: row(1, 1), gone: false }]);
    expect(all.outcomes()).toMatchObject([{ owner: "pods b", code: "conflict", severity: "error" }]);
    expect(all.objectOf("pods b")).toBe("Pod/n/b");
  });

  test("of one author's fragments the one with the smaller key wins", () => {
    all.set("pods", "a", { owner: "Pod/n/a", rows: () => [row(2, 3)] });
    expect(all.take().rows).toEqual([{ owner: "pods a", item: row(2, 3), gone: false }]);
    all.set("pods", "c", { owner: "Pod/n/c", rows: () => [row(2, 4)] });
    expect(all.take().rows).toEqual([]);
    expect(all.outcomes().map(({ owner }) => owner)).toEqual(["pods b", "pods b", "pods c"]);
  });

  test("when the winning fragment goes, the other's row replaces it", () => {
    all.set("pods", "a", undefined);
    all.set("nodes", "n", undefined);
    const { rows } = all.take();
    expect(rows).toHaveLength(2);
    expect(rows).toContainEqual({ owner: "pods b", item: row(1, 2), gone: false });
    expect(rows).toContainEqual({ owner: "pods b", item: row(2, 2), gone: false });
    expect(all.outcomes().map(({ owner }) => owner)).toEqual(["pods c"]);
  });
});

describe("a fragment whose rows cannot be generated", () => {
  const all = composer();
  const broken = (): Row[] => {
    throw new Error('read address "x": not an IP address');
  };
  const message = 'plan rows of Pod/n/b: read address "x": not an IP address';
  const outcome = { owner: "pods b", code: "encode", message, severity: "error" };

  test("is an outcome of its owner, and adds nothing", () => {
    all.set("pods", "b", { owner: "Pod/n/b", ports: [port("b")], rows: broken });
    all.set("pods", "c", { owner: "Pod/n/c", ports: [port("c")], rows: () => [row(1, 1)] });
    const { rows, ports } = all.take();
    expect([rows, ports].map((changes) => changes.map(({ owner }) => owner))).toEqual([["pods c"], ["pods c"]]);
    expect(all.outcomes()).toEqual([outcome]);
    expect(all.objectOf("pods b")).toBe("Pod/n/b");
  });

  test("leaves the old one in the document, until one with rows or none replaces it", () => {
    all.set("pods", "b", { owner: "Pod/n/b", ports: [port("b")], rows: () => [row(2, 1)] });
    expect(all.take().rows).toHaveLength(1);
    expect(all.outcomes()).toEqual([]);
    all.set("pods", "b", { owner: "Pod/n/b", links: [], rows: broken });
    expect(all.outcomes()).toEqual([outcome]);
    all.take();
    expect(all.whole()).toMatchObject({ ports: [{ name: "b" }, { name: "c" }], rows: [row(1, 1), row(2, 1)] });
    all.set("pods", "b", undefined);
    expect(all.outcomes()).toEqual([]);
    all.take();
    expect(all.whole()).toMatchObject({ ports: [{ name: "c" }], rows: [row(1, 1)] });
  });
});

describe("chains", () => {
  const all = composer();
  const chain = (delta: Delta) => delta.ports.map(({ item, gone }) => (gone ? "gone" : item.ingress.join(" ")));

  test("an attachment to a missing port is an outcome of its owner, and is made when the port comes", () => {
    all.set("rules", "x", { owner: "Limit/n/x", attach: [at("a", "late", 9), at("a", "early", 1)] });
    expect(all.take().ports).toEqual([]);
    expect(all.outcomes()).toMatchObject([{ owner: "rules x", code: "no-port" }, { code: "no-port" }]);
    all.set("pods", "a", { owner: "Pod/n/a", ports: [port("a")] });
    expect(chain(all.take())).toEqual(["early late"]);
    expect(all.outcomes()).toEqual([]);
  });

  test("an attachment to a full chain is an outcome of its owner, and is made when there is room", () => {
    all.set("rules", "y", { owner: "Limit/n/y", attach: [at("a", "middle", 5), at("a", "last", 10)] });
    expect(chain(all.take())).toEqual(["early middle late"]);
    expect(all.outcomes()).toMatchObject([{ owner: "rules y", code: "chain-full" }]);
    all.set("rules", "x", undefined);
    expect(chain(all.take())).toEqual(["middle last"]);
    expect(all.outcomes()).toEqual([]);
  });

  test("a removed port is one change, without changes of its chain", () => {
    all.set("pods", "a", undefined);
    expect(chain(all.take())).toEqual(["gone"]);
  });
});

test("a fragment set and reverted between two takes is no change", () => {
  const all = composer();
  const fragment: Fragment = { owner: "Pod/n/a", rows: () => [row(1, 1)], ports: [port("a")] };
  all.set("pods", "a", fragment);
  all.take();
  all.set("pods", "a", undefined);
  all.set("pods", "a", { ...fragment });
  expect(Object.values(all.take()).flat()).toEqual([]);
});

/** Few names, so that fragments conflict. */
const few = fc.nat(3);
const fragment: fc.Arbitrary<Fragment> = fc.record({
  owner: few.map((n) => `Pod/n/${n}`),
  ports: fc.array(
    few.chain((n) => few.map((m) => port(`p${n}`, `d${m}`))),
    { maxLength: 2 },
  ),
  attach: fc.array(
    fc.tuple(few, few, few).map(([n, i, order]) => at(`p${n}`, `i${i}`, order)),
    { maxLength: 3 },
  ),
  shapers: fc.array(
    few.map((n) => ({ instance: `i${n}`, device: "s", rate: 1, mtu: 2 })),
    { maxLength: 2 },
  ),
  rows: fc.array(fc.tuple(few, few), { maxLength: 4 }).map((pairs) => () => pairs.map(([k, v]) => row(k, v))),
});
const edit = fc.tuple(fc.constantFrom(...AUTHORS), few, fc.option(fragment, { nil: undefined }));

test("the sum of all changes equals a document composed from nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.array(edit, { maxLength: 4 }), { maxLength: 12 }), (batches) => {
      const all = composer();
      const follower = new Follower();
      const last = new Map<string, (typeof batches)[number][number]>();
      for (const batch of batches) {
        for (const one of batch) {
          all.set(one[0], String(one[1]), one[2]);
          last.set(`${one[0]} ${one[1]}`, one);
        }
        follower.follow(all.take());
      }
      const fresh = composer();
      for (const [author, key, one] of last.values()) fresh.set(author, String(key), one);
      const once = new Follower();
      once.follow(fresh.take());
      expect(follower.sorted()).toEqual(once.sorted());
      const byText = (found: readonly unknown[]) => found.map((one) => JSON.stringify(one)).sort();
      expect(byText(all.outcomes())).toEqual(byText(fresh.outcomes()));
      expect(all.size).toBe(fresh.size);
    }),
    { numRuns: 500 },
  );
});

test("rows with equal table and key have the same id, also for keys in bytes", () => {
  const one: Row = { table: "t", key: { instance: { instance: "r" }, addr: new Uint8Array([1, 200]) }, value: {} };
  expect(rowId({ ...one, key: { ...one.key, addr: Buffer.from([1, 200]) } })).toBe(rowId(one));
  expect(rowId({ ...one, key: { ...one.key, addr: new Uint8Array([1, 201]) } })).not.toBe(rowId(one));
});
