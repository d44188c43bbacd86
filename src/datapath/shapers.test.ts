import { expect, test } from "vitest";
import type { Change, Delta, Shaper } from "../model/document.ts";
import { panelLinks } from "../model/panel.ts";
import { PLACE, SETS } from "../model/shape.ts";
import { blockOf, kernelRate, readClasses, shapeOf } from "./shaper-classes.ts";
import { MOST_SPARES } from "./spare-shapers.ts";
import { Memory } from "./testing/memory.ts";

const NONE: Delta = { instances: [], ports: [], links: [], routes: [], shapers: [], leases: [], rows: [] };
const change = (gone: boolean, of: string, rate: number): Change<Shaper> => ({
  owner: `Limit/ns/${of}`,
  item: { instance: of, device: "weir_shape0", rate, mtu: 1500 },
  gone,
});
const set = (of: string, rate: number): Change<Shaper> => change(false, of, rate);
const gone = (of: string, rate: number): Change<Shaper> => change(true, of, rate);
const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `s${i}`);

function bench() {
  const memory = new Memory({ tables: {}, functions: [] });
  const datapath = memory.datapath();
  const links = panelLinks().map((item) => ({ owner: "Node/n", item, gone: false }));
  datapath.apply({ ...NONE, links }, { whole: true });
  const apply = (...shapers: Change<Shaper>[]): void => {
    datapath.apply({ ...NONE, shapers });
    expect(datapath.outcomes.all()).toEqual([]);
  };
  const idOf = (of: string): number => memory.names.find("shaper", of) ?? -1;
  const held = () => readClasses(memory.network.classes());
  const rate = (of: string) => held().get(idOf(of))?.rate;
  return { memory, datapath, apply, idOf, held, rate };
}
const rateOf = (rate: number): bigint => kernelRate(shapeOf({ instance: "", device: "", rate, mtu: 1500 }).parent.rate);

test("a new limit takes the classes of one that is gone, and creates none", () => {
  const { memory, apply, idOf, held, rate } = bench();
  apply(set("a", 10e6), set("stays", 10e6));
  const [id, count] = [idOf("a"), memory.network.classes().length];
  apply(gone("a", 10e6));
  expect(memory.network.classes()).toHaveLength(count);
  apply(set("b", 12e6));
  expect([idOf("b"), idOf("a"), held().size]).toEqual([id, -1, 2]);
  expect(memory.network.classes()).toHaveLength(count);
  expect([rate("b"), rate("stays")]).toEqual([rateOf(12e6), rateOf(10e6)]);
});

test.each([
  ["the first class", PLACE.first],
  ["a leaf", SETS[0] + 1],
])("%s of a limit that was removed is made again once, with its queue", (_, place) => {
  const { memory, datapath, apply, idOf } = bench();
  apply(set("a", 10e6), set("stays", 10e6));
  const classes = () => memory.network.classes().toSorted((one, other) => one.handle - other.handle);
  const whole = classes();
  memory.network.changeTc("weir_shape0", [{ op: "remove", kind: "class", handle: blockOf(idOf("a")) + place }]);
  expect(classes()).toHaveLength(whole.length - 1);
  const round = (): number => {
    const { writes, done } = datapath.scrub();
    return writes + (done ? 0 : round());
  };
  expect(round()).toBeGreaterThan(0);
  expect(classes()).toEqual(whole);
  expect(round()).toBe(0);
});

test("one with other leaves does not, and a limit that comes back has its own", () => {
  const { apply, idOf, held, rate } = bench();
  apply(set("a", 10e6), set("stays", 10e6));
  const id = idOf("a");
  apply(gone("a", 10e6));
  apply(set("b", 4e9));
  expect(idOf("b")).not.toBe(id);
  apply(set("a", 10e6));
  expect([idOf("a"), rate("a"), held().size]).toEqual([id, rateOf(10e6), 3]);
});

test("a limit that comes back while its packets leave is in force again", () => {
  const { memory, datapath, apply, rate } = bench();
  apply(set("a", 10e6), set("stays", 10e6));
  memory.network.backlog = 5000;
  apply(gone("a", 10e6));
  expect(rate("a")).toBeGreaterThan(rateOf(10e9));
  apply(set("a", 10e6));
  memory.network.backlog = 0;
  for (let i = 0; i < 3; i++) {
    memory.now += 2000;
    datapath.apply();
  }
  expect(rate("a")).toBe(rateOf(10e6));
});

test("no more than some are kept, a scrub removes them one by one, and the last limit takes all along", () => {
  const { datapath, apply, held } = bench();
  const names = many(MOST_SPARES + 10);
  apply(set("stays", 1e6), ...names.map((name) => set(name, 1e6)));
  apply(...names.map((name) => gone(name, 1e6)));
  expect(held().size).toBe(1 + MOST_SPARES);
  while (!datapath.scrub().done);
  expect(held().size).toBe(MOST_SPARES);
  apply(gone("stays", 1e6));
  expect(held().size).toBe(0);
});

test("an agent that starts takes spares for what they are", () => {
  const { memory, apply, idOf, held } = bench();
  apply(set("a", 10e6), set("stays", 10e6));
  const id = idOf("a");
  apply(gone("a", 10e6));
  const next = memory.datapath();
  const links = panelLinks().map((item) => ({ owner: "Node/n", item, gone: false }));
  next.apply({ ...NONE, links, shapers: [set("stays", 10e6)] }, { whole: true });
  next.apply({ ...NONE, shapers: [set("b", 10e6)] });
  expect([idOf("b"), held().size, next.outcomes.all()]).toEqual([id, 2, []]);
});

test("spares of a device that was made again are forgotten", () => {
  const { memory, datapath, apply, held, rate } = bench();
  apply(set("a", 10e6), set("stays", 10e6));
  apply(gone("a", 10e6));
  memory.network.remove("weir_shape0");
  datapath.noticed({ kind: "lost" });
  datapath.apply();
  apply(set("b", 10e6));
  expect([held().size, rate("b"), rate("stays")]).toEqual([2, rateOf(10e6), rateOf(10e6)]);
});

test("when no id is left, a limit takes a spare that does not fit", () => {
  const { datapath, apply, rate } = bench();
  const names = many(1021);
  apply(...names.map((name) => set(name, 10e6)));
  apply(set("last", 10e6));
  apply(gone("s0", 10e6));
  apply(set("other", 4e9));
  expect([rate("other"), datapath.pending]).toEqual([rateOf(4e9), 0]);
  const some = names.slice(1, 40);
  apply(...some.map((name) => gone(name, 10e6)));
  apply(...some.map((name) => set(`n${name}`, 4e9)));
  datapath.apply();
  expect([rate("ns3"), datapath.pending]).toEqual([rateOf(4e9), 0]);
});
