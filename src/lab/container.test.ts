import { expect, it } from "vitest";
import { neverRan } from "./container.ts";

it.each([
  [127, "unshare: failed to execute nope: No such file or directory", true],
  [126, "unshare: failed to execute /etc: Permission denied", true],
  [1, "unshare: cannot chdir to '/no/where': No such file or directory", true],
  [1, "my own words", false],
  [0, "", false],
  [null, "unshare: killed", false],
])("exit code %j and last output %j: the command never ran: %s", (code, said, expected) =>
  expect(neverRan(code, said)).toBe(expected),
);
