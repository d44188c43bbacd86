import { expect, test } from "vitest";
import { isAbout } from "./in-force.ts";

const named = new Set(["Deployment/shop/web", "Pod/shop/a", "Service/shop/db", "Namespace/shop", "Limit/shop/x"]);

test.each([
  ["Deployment/shop/web", true],
  ["Pod/shop/web-5d4f-1", true],
  ["Pod/shop/a", true],
  ["Limit/shop/x", true],
  ["Pod/shop/a-1", false],
  ["Pod/shop/db-1", false],
  ["Pod/other/web-1", false],
  ["Pod/shop-2/web-1", false],
  ["Limit/shop/y", false],
])("a problem of %s concerns the change: %s", (object, expected) => {
  expect(isAbout(named)({ object, message: "it is bad" })).toBe(expected);
});
