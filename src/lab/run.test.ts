import { expect, test } from "vitest";
import { containerArgv } from "./container.ts";
import { programPath } from "./run.ts";

test.each([
  ["a program of this machine", "sh", "/nowhere:/bin:/usr/bin", "/bin/sh"],
  ["a relative folder is not looked into", "sh", ".:bin:/usr/bin", "/usr/bin/sh"],
  ["a program that nobody has", "weir-no-such", "/bin", "weir-no-such"],
  ["no PATH at all", "sh", "", "sh"],
])("programPath: %s", (_, name, path, expected) => {
  expect(programPath(name, path)).toBe(expected);
});

test("nsenter is taken from the machine, whatever the container's PATH", () => {
  const spec = { argv: ["app"], netns: "/run/netns/x", rootfs: undefined, workingDir: undefined };
  const argv = containerArgv(spec as unknown as Parameters<typeof containerArgv>[0], "1");
  expect(argv.filter((word) => /nsenter|unshare/.test(word))).toEqual([
    expect.stringMatching(/^\/.*\/nsenter$/),
    expect.stringMatching(/^\/.*\/unshare$/),
  ]);
  expect(argv.at(-1)).toBe("app");
});
