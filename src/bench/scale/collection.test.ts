import type { ServerResponse } from "node:http";
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { Collection } from "./collection.ts";

class FakeResponse extends Writable {
  text = "";

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }

  writeHead(): void {}
  flushHeaders(): void {}

  get lines(): { type: string; object: { metadata: Record<string, unknown>; [field: string]: unknown } }[] {
    return this.text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }
}

const query = (text: string) => new URLSearchParams(text);
const response = () => new FakeResponse() as FakeResponse & ServerResponse;
const pod = (name: string, more: object = {}) => ({ metadata: { name, namespace: "n" }, ...more });
const collection = () => new Collection({ kind: "Pod", apiVersion: "v1" }, { last: 0 });

test("a list is returned in pages", () => {
  const pods = collection();
  pods.load(["a", "b", "c"].map((name) => pod(name)));
  const [first, second] = [response(), response()];
  pods.list(query("limit=2"), first);
  pods.list(query("limit=2&continue=2"), second);
  const read = ({ text }: FakeResponse) => JSON.parse(text);
  expect(read(first)).toMatchObject({ kind: "PodList", metadata: { resourceVersion: "3", continue: "2" } });
  expect(read(first).items.map((one: ReturnType<typeof pod>) => one.metadata.name)).toEqual(["a", "b"]);
  expect(read(second).metadata.continue).toBeUndefined();
  expect(read(second).items).toHaveLength(1);
});

test("a watch resumes at a version and receives later events", () => {
  const pods = collection();
  pods.load([pod("a")]);
  pods.put(pod("b"));
  const watching = response();
  pods.watch(query("watch=true&resourceVersion=1"), watching);
  pods.put(pod("a", { spec: {} }));
  pods.remove(pod("b"));
  const told = watching.lines.map(({ type, object: { metadata } }) => [
    type,
    metadata["name"],
    metadata["resourceVersion"],
  ]);
  expect(told).toEqual([
    ["ADDED", "b", "2"],
    ["MODIFIED", "a", "3"],
    ["DELETED", "b", "4"],
  ]);
  watching.destroy();
  pods.close();
});

test("a reported status is kept when its object is edited", () => {
  const limits = collection();
  limits.put(pod("slow", { spec: 1 }));
  expect(limits.report("n/none", {})).toBeUndefined();
  limits.report("n/slow", { nodes: ["n1"] });
  limits.report("n/slow", { conditions: [] });
  limits.put(pod("slow", { spec: 2 }));
  const read = response();
  limits.list(query(""), read);
  expect(JSON.parse(read.text).items[0]).toMatchObject({ spec: 2, status: { nodes: ["n1"], conditions: [] } });
});
