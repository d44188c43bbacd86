import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ONE_OFF_STAYS, oneOffManifest } from "../model/one-off.ts";
import { AppliedStore, DocumentError } from "./applied.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-applied-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = () => join(folder, "applied.json");
const pod = (name: string, annotations: Record<string, string> = {}, namespace?: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...(namespace && { namespace }), annotations },
  spec: { containers: [{ name: "c", image: "x" }] },
});
const deep = (levels: number): unknown => JSON.parse("[".repeat(levels) + "]".repeat(levels));
const actions = (changes: readonly { key: string; action: string }[]) =>
  changes.map(({ key, action }) => `${key} ${action}`);

describe("put", () => {
  test("returns the change of each object; writing the default namespace is no change", () => {
    const store = new AppliedStore(folder);
    expect(actions(store.put([pod("a"), pod("b")]))).toEqual(["Pod/default/a created", "Pod/default/b created"]);
    expect(actions(store.put([pod("b", { bandwidth: "1 mbps egress" }), pod("a", {}, "default")]))).toEqual([
      "Pod/default/b changed",
      "Pod/default/a unchanged",
    ]);
    expect(store.list().map(({ key }) => key)).toEqual(["Pod/default/a", "Pod/default/b"]);
  });

  test("a dry run returns the same and stores nothing", () => {
    const store = new AppliedStore(folder);
    expect(actions(store.put([pod("a")], { dryRun: true }))).toEqual(["Pod/default/a created"]);
    expect(store.list()).toEqual([]);
    expect(new AppliedStore(folder).list()).toEqual([]);
  });

  test.each<[string, unknown[], string, string]>([
    ["no object", [pod("a"), 7], "items[1]", "is not a Kubernetes object"],
    ["a bad name", [pod("A")], "items[0].metadata.name", "lower-case"],
    ["no name", [{ ...pod("a"), metadata: {} }], "items[0].metadata.name", "is required"],
    ["a kind of others", [{ ...pod("a"), kind: "Ingress" }], "items[0].kind", "does not act on Ingress"],
    ["a list", [{ apiVersion: "v1", kind: "List", items: [] }], "items[0].kind", "write its items"],
    ["a deep one", [deep(300)], "items[0]", "nested too deeply"],
    ["one too deep to be written", [deep(100_000)], "items[0]", "nested too deeply"],
    ["a typed list", [{ apiVersion: "v1", kind: "PodList", items: [pod("a")] }], "items[0].kind", "write its items"],
    ["one twice", [pod("a"), pod("a", {}, "default")], "items[1]", "is in items[0] already"],
  ])("%s is refused with its path, and the whole set with it", (_, documents, path, message) => {
    const store = new AppliedStore(folder);
    let error: unknown;
    try {
      store.put(documents);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(DocumentError);
    expect(error).toMatchObject({ path, message: expect.stringContaining(message) });
    expect(store.list()).toEqual([]);
  });

  test("an unknown field is a warning", () => {
    const [change] = new AppliedStore(folder).put([{ ...pod("a"), sepc: {} }]);
    expect(change?.warnings).toEqual(["sepc: unknown field: ignored; did you mean spec?"]);
  });
});

test("remove returns the removed keys", () => {
  const store = new AppliedStore(folder);
  store.put([pod("a"), pod("b")]);
  expect(store.remove(["Pod/default/b", "Pod/default/none"], { dryRun: true })).toEqual(["Pod/default/b"]);
  expect(store.remove(["Pod/default/b", "Pod/default/none"])).toEqual(["Pod/default/b"]);
  expect(new AppliedStore(folder).list().map(({ key }) => key)).toEqual(["Pod/default/a"]);
});

test("one-off Impairments are removed some time after their end, others are kept", () => {
  const store = new AppliedStore(folder);
  const until = Date.parse("2026-01-02T03:04:05Z");
  const spec = { direction: "both" as const, loss: "2%" };
  const oneOff = oneOffManifest({ namespace: "shop", pod: "web", id: "1", spec, until });
  const later = oneOffManifest({ namespace: "shop", pod: "web", id: "2", spec, until: until + 60_000 });
  const kept = { ...oneOff, metadata: { name: "kept", namespace: "shop" } };
  store.put([oneOff, later, kept]);
  const keys = () => store.list().map(({ key }) => key.replace(/.*\//, ""));
  expect(store.expire(until)).toEqual({ gone: [], next: until + ONE_OFF_STAYS });
  expect(keys()).toEqual(["impair-web-1", "impair-web-2", "kept"]);
  expect(store.expire(until + ONE_OFF_STAYS)).toEqual({
    gone: ["Impairment/shop/impair-web-1"],
    next: until + 60_000 + ONE_OFF_STAYS,
  });
  expect(keys()).toEqual(["impair-web-2", "kept"]);
  expect(store.expire(until + 1e9)).toEqual({ gone: ["Impairment/shop/impair-web-2"], next: undefined });
  expect(new AppliedStore(folder).list().map(({ key }) => key)).toEqual(["Impairment/shop/kept"]);
});

describe("after a restart", () => {
  test("all objects are kept", () => {
    new AppliedStore(folder).put([pod("a", { bandwidth: "1 mbps egress" })]);
    const store = new AppliedStore(folder);
    expect(store.problems).toEqual([]);
    expect(store.list()[0]?.object.metadata.annotations).toEqual({ bandwidth: "1 mbps egress" });
  });

  test.each([
    ["cut short", '{"items":['],
    ["not a list", '{"items":7}'],
    ["empty", ""],
  ])("a file that is %s is set aside", (_, text) => {
    writeFileSync(file(), text);
    const store = new AppliedStore(folder);
    expect(store.list()).toEqual([]);
    expect(store.problems).toMatchObject([{ object: file() }]);
    expect(readFileSync(`${file()}.broken`, "utf8")).toBe(text);
    expect(new AppliedStore(folder).problems).toEqual([]);
  });

  test("an invalid object does not affect others", () => {
    writeFileSync(file(), JSON.stringify({ items: [pod("BAD"), pod("a")] }));
    const store = new AppliedStore(folder);
    expect(store.list().map(({ key }) => key)).toEqual(["Pod/default/a"]);
    expect(store.problems[0]?.message).toContain("items[0].metadata.name");
    expect(new AppliedStore(folder).list().map(({ key }) => key)).toEqual(["Pod/default/a"]);
  });
});
