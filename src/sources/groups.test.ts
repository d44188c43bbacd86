import { expect, test } from "vitest";
import type { Pod } from "../model/objects.ts";
import { groupsOf } from "./groups.ts";

const pod = (name: string, labels: Record<string, string>, annotations: Record<string, string> = {}): Pod => ({
  kind: "Pod",
  metadata: { name, namespace: "n", labels, annotations },
  hostNetwork: false,
  containers: [],
  restartPolicy: "Always",
});
const group = (...pods: Pod[]) => groupsOf(new Map([["n", pods]])).get("n");

test("other annotations leave a group as it is; other labels, another order, a pod more do not", () => {
  const first = group(pod("a", { app: "web" }), pod("b", { app: "db" }));
  expect(group(pod("a", { app: "web" }, { bandwidth: "x" }), pod("b", { app: "db" }))).toBe(first);
  const others = [
    group(pod("a", { app: "web" }), pod("b", { app: "web" })),
    group(pod("b", { app: "db" }), pod("a", { app: "web" })),
    group(pod("a", { app: "web" }), pod("b", { app: "db" }), pod("c", {})),
  ];
  for (const other of others) expect(other).not.toBe(first);
});

test("a selector finds the same pods again, and others in another group", () => {
  const web = { matchLabels: { app: "web" } };
  const one = group(pod("a", { app: "web" }), pod("b", { app: "db" }));
  expect([one?.select(web), one?.select(web), one?.select({})]).toEqual([[0], [0], [0, 1]]);
  expect(group(pod("a", { app: "db" }), pod("b", { app: "web" }))?.select(web)).toEqual([1]);
});

test("a namespace that is gone is forgotten", () => {
  const first = group(pod("a", {}));
  groupsOf(new Map());
  expect(group(pod("a", {}))).not.toBe(first);
});
