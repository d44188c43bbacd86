import { type Fields, isFields } from "../../src/sources/manifests/types.ts";
import { BASES } from "./bases.ts";
import { type Place, places, type Shape, shapes } from "./shapes.ts";

/** One document of the fuzz test: a valid object with changes. */
export interface Case {
  kind: string;
  /** The object's name before the changes. */
  name: string;
  /** The changed fields. */
  paths: readonly Place["path"][];
  document: Fields;
}

/** Marks a field that is removed. */
const GONE = Symbol("gone");

/** Values that are invalid for nearly every field and that expose careless code. */
const WRONG: readonly unknown[] = [
  ...[GONE, null, true, 0, -1, 1.5, 1e300, 2 ** 53],
  ...["", " ", "a b", "\0", "../../x", "A_1", "💥", "5", "__proto__", "x".repeat(300), "-", "\u202e", "1e999999999"],
  ...[[], [null], [[]], ["a", "a"], [{}], [{ name: "a" }, { name: "a" }]],
  ...[{}, { "": null }, JSON.parse('{"__proto__": {"a": 1}}'), { k: null }, { k: { k: {} } }, { "a/b/c": "d" }],
];

/** Values of the right type that may be invalid for their field. */
const RIGHT: Readonly<Record<string, readonly unknown[]>> = {
  string: [
    "a",
    "b.c",
    "Always",
    "Never",
    "TCP",
    "10.0.0.1",
    "fd00::1",
    "10M",
    "50%",
    "1s",
    "node-1",
    "/a",
    "metadata.name",
  ],
  int32: [1, 2, 3, 80],
  int64: [1, 3, 80, 65_536],
  boolean: [true, false],
  time: ["2026-01-02T15:04:05Z"],
  quantity: ["1", "100m", "1Gi", 1],
  intOrString: [80, "http", "25%"],
  byte: ["AA==", ""],
};

/** How often each field of a kind is changed alone. Seven kinds have pod templates, which are alike. */
const TIMES = { Pod: 12, template: 3, other: 40 };

/** Number of documents of the whole fuzz test. */
export const COUNT = 100_000;

/** A thousand documents of all kinds. */
export const sample = (): Case[] => [...cases({ every: 99 })];

/**
 * The documents, the same in each run: every field of every kind alone, then several together. Returns one of every
 * `every` documents.
 */
export function* cases({ every = 1, seed = 1 } = {}): Generator<Case> {
  const all = [...shapes()].flatMap(([kind, shape]) => [...places(shape)].map((place) => ({ kind, ...place })));
  const kinds = Object.keys(BASES).map((kind): [string, Changed[]] => [kind, all.filter((one) => one.kind === kind)]);
  const random = generator(seed);
  let index = 0;
  for (const { at, place, time } of alone(all)) {
    if (index++ % every > 0) continue;
    if (index > COUNT) return;
    yield caseOf(at.kind, index, [{ at, value: valueAt(at.shape, place * 7 + time, time) }]);
  }
  while (index < COUNT) {
    const [kind, own] = kinds[random(kinds.length)] as [string, Changed[]];
    const some = Array.from({ length: 2 + random(2) }, () => own[random(own.length)] as Changed);
    const changes = some.map((at) => ({ at, value: valueAt(at.shape, random(1 << 20), random(3)) }));
    if (index++ % every === 0) yield caseOf(kind, index, changes);
  }
}

type Changed = Place & { kind: string };

function* alone(all: readonly Changed[]): Generator<{ at: Changed; place: number; time: number }> {
  for (let time = 0; time < Math.max(...Object.values(TIMES)); time++) {
    for (const [place, at] of all.entries()) if (time < timesOf(at.kind)) yield { at, place, time };
  }
}

const templated = new Set(Object.keys(BASES).filter((kind) => JSON.stringify(BASES[kind]).includes('"template"')));

function timesOf(kind: string): number {
  if (kind === "Pod") return TIMES.Pod;
  return templated.has(kind) ? TIMES.template : TIMES.other;
}

function caseOf(kind: string, index: number, changes: readonly { at: Changed; value: unknown }[]): Case {
  const document = changes.reduce((last, { at, value }) => changed(last, at, value), baseOf(kind, index));
  return { kind, name: `bad-${index}`, paths: changes.map(({ at }) => at.path), document };
}

const SPECS = [
  ["spec", "jobTemplate", "spec", "template", "spec"],
  ["spec", "template", "spec"],
];

/** The same document for pods that no node accepts: they are read, but not run. */
export function parked({ kind, document }: Case): Fields {
  const path = kind === "Pod" ? ["spec"] : SPECS.find((one) => isFields(at(document, one)));
  const spec = path && at(document, path);
  if (!path || !isFields(spec) || spec["nodeSelector"] !== undefined) return document;
  return put(document, path, [], { ...spec, nodeSelector: { "weir.dev/node": "none" } }) as Fields;
}

function at(document: Fields, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isFields(value) ? value[key] : undefined), document);
}

function baseOf(kind: string, index: number): Fields {
  const base = BASES[kind];
  if (!base) throw new Error(`there is no good ${kind} to begin with`);
  return { ...base, metadata: { ...(base["metadata"] as Fields), name: `bad-${index}` } };
}

/** Every third value has the right type. */
function valueAt(shape: Shape, pick: number, time: number): unknown {
  return time % 3 === 0 ? rightValue(shape, pick) : WRONG[pick % WRONG.length];
}

function rightValue(shape: Shape, pick: number): unknown {
  if ("list" in shape) return [rightValue(shape.list(), pick), rightValue(shape.list(), pick + 1)];
  if ("map" in shape) return { k: rightValue(shape.map(), pick) };
  if ("fields" in shape) return named(shape);
  const values = RIGHT[shape.scalar] ?? [{}];
  return values[pick % values.length];
}

/** An object with the fields that are required for reading the tested field. */
function named(shape: Shape): Fields {
  const fields = "fields" in shape ? shape.fields : new Map<string, never>();
  return Object.fromEntries(["name", "key"].filter((name) => fields.has(name)).map((name) => [name, "a"]));
}

/** A copy with another value for one field. Missing parents are created. */
function changed(document: Fields, { path, above }: Place, value: unknown): Fields {
  return put(document, path, above, value) as Fields;
}

function put(at: unknown, [key, ...rest]: Place["path"], [shape, ...shapes]: Place["above"], value: unknown): unknown {
  if (key === undefined) return value;
  const below = (at as Fields | undefined)?.[key];
  const next = put(below, rest, shapes, value);
  if (typeof key === "number") {
    const list = Array.isArray(at) ? [...at] : [];
    if (next === GONE) list.splice(key, 1);
    else list[key] = next;
    return list;
  }
  const { [key]: _, ...others } = isFields(at) ? at : shape ? named(shape) : {};
  return next === GONE ? others : { ...others, [key]: next };
}

/**
 * Pseudo-random numbers below a bound, the same for the same seed (a linear congruential generator: they need only be
 * spread).
 */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
