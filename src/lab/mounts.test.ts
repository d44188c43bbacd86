import { describe, expect, it } from "vitest";
import { escapeFstab, parseMountinfo, within } from "./mounts.ts";

describe("parseMountinfo", () => {
  it("reads roots, paths with octal escapes, and types after any optional fields", () => {
    const text = [
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
      "50 27 0:4 net:[4026532] /run/netns/a\\040b rw shared:7 master:2 - nsfs nsfs rw",
      "",
    ].join("\n");
    expect(parseMountinfo(text)).toEqual([
      { root: "/", path: "/sys/fs/cgroup/unified", type: "cgroup2", options: "rw,relatime" },
      { root: "net:[4026532]", path: "/run/netns/a b", type: "nsfs", options: "rw" },
    ]);
  });
});

describe("within", () => {
  it.each([
    ["/run/weir", true],
    ["/run/weir/a", true],
    ["/run/weird", false],
    ["/run", false],
  ])("%s", (path, inside) => expect(within(path, "/run/weir")).toBe(inside));
});

describe("escapeFstab", () => {
  it("keeps a path one field, on one line", () => {
    expect(escapeFstab("/a b\tc\nd\\e#f")).toBe("/a\\040b\\011c\\012d\\134e\\043f");
  });
});
