import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inside } from "./inside.ts";

let scratch: string;
let root: string;
beforeEach(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), "weir-inside-")));
  root = `${scratch}/volume`;
  mkdirSync(`${root}/a/b`, { recursive: true });
  mkdirSync(`${scratch}/machine`);
  writeFileSync(`${root}/a/file`, "");
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe("a path in a volume", () => {
  it.each([
    ["a/b", "/a/b"],
    ["./a//b/", "/a/b"],
    ["new/deep", "/new/deep"],
    ["link/b", "/a/b"],
    ["a/up/b", "/a/b"],
    ["link/new", "/a/new"],
  ])("%s is %s", (path, expected) => {
    symlinkSync("a", `${root}/link`);
    symlinkSync("../a", `${root}/a/up`);
    const found = inside(root, path, { make: "directory", absolute: "out" });
    const { dev, ino } = statSync(`${root}${expected}`);
    expect(found).toEqual({ path: expected, id: `${dev}:${ino}`, directory: true });
  });

  it("may be a file, and may be missing", () => {
    expect(inside(root, "a/file", { absolute: "out" })).toMatchObject({ path: "/a/file", directory: false });
    expect(inside(root, "a/none/c", { absolute: "out" })).toEqual({
      path: "/a/none/c",
      id: undefined,
      directory: false,
    });
    expect(() => inside(root, "a/file/x", { make: "directory", absolute: "out" })).toThrow(/ENOTDIR/);
  });

  it("is created as a file if requested, with its directories", () => {
    expect(inside(root, "x/y", { make: "file", absolute: "out" })).toMatchObject({ path: "/x/y", directory: false });
    expect([statSync(`${root}/x`).isDirectory(), statSync(`${root}/x/y`).isFile()]).toEqual([true, true]);
  });

  it.each([
    ["an absolute link", () => `${scratch}/machine`],
    ["a relative link", () => "../machine"],
    ["a link to itself", () => "evil"],
    ["a link to the root above", () => "a/../.."],
  ])("that leads out by %s is refused, and nothing is created there", (_, target) => {
    symlinkSync(target(), `${root}/evil`);
    expect(() => inside(root, "evil/new", { make: "directory", absolute: "out" })).toThrow(/refused/);
    expect(() => inside(root, "evil", { make: "directory", absolute: "out" })).toThrow(/refused/);
    expect([`${scratch}/machine/new`, `${scratch}/new`].map(existsSync)).toEqual([false, false]);
  });

  it("absolute links in an image are relative to its root", () => {
    symlinkSync("/a", `${root}/link`);
    expect(inside(root, "link/b", { absolute: "root" })).toMatchObject({ path: "/a/b" });
    expect(inside(root, "link/new", { absolute: "root" })).toMatchObject({ path: "/a/new", id: undefined });
  });
});
