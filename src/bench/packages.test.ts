import { expect, test } from "vitest";
import { requirePackages } from "./packages.ts";

test("packages for measurements are installed with the tests", () => {
  expect(() => requirePackages("limits")).not.toThrow();
});

test.each([
  [["vega", "not-there"], "measure limits: not-there is not installed (npm run setup)"],
  [["not-there", "@no/such"], "measure limits: not-there, @no/such are not installed (npm run setup)"],
])("%j: what is missing is named", (names, message) => {
  expect(() => requirePackages("limits", names)).toThrow(message);
});
