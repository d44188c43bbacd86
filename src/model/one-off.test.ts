import { expect, test } from "vitest";
import { checkSubdomain } from "./names.ts";
import { forgottenAt, ONE_OFF_STAYS, oneOffManifest, oneOffName, withoutId } from "./one-off.ts";

const END = Date.parse("2026-01-02T03:04:05.000Z");
const spec = { direction: "egress" as const, loss: "2%" };
const manifest = oneOffManifest({ namespace: "shop", pod: "web-0", id: "1a2b", spec, until: END });

test("a one-off is an Impairment of one pod with an end", () => {
  expect(manifest).toEqual({
    apiVersion: "weir.dev/v1alpha1",
    kind: "Impairment",
    metadata: { name: "impair-web-0-1a2b", namespace: "shop", labels: { "weir.dev/one-off": "true" } },
    spec: { pod: "web-0", direction: "egress", loss: "2%", until: "2026-01-02T03:04:05.000Z" },
  });
  expect(forgottenAt(manifest)).toBe(END + ONE_OFF_STAYS);
});

test.each(["a".repeat(253), `${"a".repeat(199)}.${"b".repeat(50)}`])("a long pod's one-off has a valid name", (pod) => {
  expect(checkSubdomain(oneOffName({ pod, id: "1a2b" }))).toBeUndefined();
});

test.each([
  ["another kind", { ...manifest, kind: "Limit" }],
  ["no label", { ...manifest, metadata: { name: "a" } }],
  ["no end", { ...manifest, spec: {} }],
  ["no time", { ...manifest, spec: { until: "soon" } }],
])("%s: stays", (_, document) => {
  expect(forgottenAt(document)).toBeUndefined();
});

test.each([
  ["Impairment/shop/impair-web-0-1a2b", "Impairment/shop/impair-web-0"],
  ["Impairment/shop/impair-web-0-", "Impairment/shop/impair-web-0-"],
  ["Impairment/shop/impair-web-0-1a-2b", "Impairment/shop/impair-web-0-1a-2b"],
  ["Impairment/shop/impair-web-1-1a2b", "Impairment/shop/impair-web-1-1a2b"],
  ["Impairment/other/impair-web-0-1a2b", "Impairment/other/impair-web-0-1a2b"],
  ["Impairment/shop/lossy", "Impairment/shop/lossy"],
  ["loss", "loss"],
])("%s without what tells one-offs apart is %s", (source, expected) => {
  expect(withoutId(source, { namespace: "shop", pod: "web-0" })).toBe(expected);
});
