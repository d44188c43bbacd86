import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readImageArchive } from "./archive.ts";
import { readTar } from "./tar.ts";
import { type Member, makeTar } from "./testing/tar.ts";
import { unpackLayer } from "./unpack.ts";

let scratch = "";
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "weir-unpack-"));
  mkdirSync(`${scratch}/root`);
  writeFileSync(`${scratch}/outside`, "untouched");
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));
const root = (): string => `${scratch}/root`;

describe("unpackLayer", () => {
  it("writes files, directories and links with their modes", () => {
    const members: Member[] = [
      { path: "./bin/", type: "5", mode: 0o755 },
      { path: "bin/tool", data: "run", mode: 0o4755 },
      { path: "bin/alias", type: "2", link: "tool" },
      { path: "bin/hard", type: "1", link: "bin/tool" },
      { path: "deep/er/file", data: "x" },
    ];
    unpackLayer(makeTar(members), root());
    expect(readFileSync(`${root()}/bin/alias`, "utf8")).toBe("run");
    expect(statSync(`${root()}/bin/tool`).mode & 0o7777).toBe(0o4755);
    expect(statSync(`${root()}/bin/hard`).ino).toBe(statSync(`${root()}/bin/tool`).ino);
    expect(readFileSync(`${root()}/deep/er/file`, "utf8")).toBe("x");
  });

  it("a whiteout deletes a file, or the content of a directory", () => {
    unpackLayer(makeTar([{ path: "a/one" }, { path: "a/two" }, { path: "b/one" }]), root());
    unpackLayer(makeTar([{ path: "a/.wh.one" }, { path: "b/.wh..wh..opq" }, { path: "b/new" }]), root());
    expect(["a/one", "a/two", "b/one", "b/new"].map((path) => existsSync(`${root()}/${path}`))).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  it("replaces a symbolic link and does not follow it", () => {
    unpackLayer(makeTar([{ path: "file", type: "2", link: "../outside" }]), root());
    unpackLayer(makeTar([{ path: "file", data: "mine" }]), root());
    expect(readFileSync(`${scratch}/outside`, "utf8")).toBe("untouched");
    expect(lstatSync(`${root()}/file`).isFile()).toBe(true);
  });

  it.each<[string, Member[]]>([
    ["a path with ..", [{ path: "../outside", data: "bad" }]],
    ["a path with .. in the middle", [{ path: "a/../../outside", data: "bad" }]],
    [
      "a directory that is a link out",
      [
        { path: "out", type: "2", link: ".." },
        { path: "out/outside", data: "bad" },
      ],
    ],
    [
      "a directory that is an absolute link",
      [
        { path: "out", type: "2", link: "/tmp" },
        { path: "out/weir-bad", data: "bad" },
      ],
    ],
    ["a hard link out", [{ path: "hard", type: "1", link: "../outside" }]],
    [
      "a hard link through a link",
      [
        { path: "out", type: "2", link: ".." },
        { path: "hard", type: "1", link: "out/outside" },
      ],
    ],
    ["a whiteout through a link", [{ path: "out", type: "2", link: ".." }, { path: "out/.wh.outside" }]],
    ["a whiteout of ..", [{ path: "keep" }, { path: "a/.wh..." }]],
  ])("writes nothing outside the root: %s", (_, members) => {
    try {
      unpackLayer(makeTar(members), root());
    } catch (error) {
      expect((error as { code: string }).code).toBe("bad-layer");
    }
    expect(readFileSync(`${scratch}/outside`, "utf8")).toBe("untouched");
    expect(existsSync("/tmp/weir-bad")).toBe(false);
    expect(existsSync(root())).toBe(true);
    if (members[0]?.path === "keep") expect(existsSync(`${root()}/keep`)).toBe(true);
  });

  it("treats an absolute path as relative to the root", () => {
    unpackLayer(makeTar([{ path: "/etc/x", data: "in" }]), root());
    expect(readFileSync(`${root()}/etc/x`, "utf8")).toBe("in");
  });

  it("refuses a damaged archive", () => {
    const archive = makeTar([{ path: "a", data: "x".repeat(600) }]);
    expect(() => [...readTar(archive.subarray(0, 700))]).toThrow(/damaged/);
    archive.writeUInt8(0xff, 3);
    expect(() => [...readTar(archive)]).toThrow(/damaged/);
  });
});

describe("readImageArchive", () => {
  const config = { config: { Env: ["A=b"], Entrypoint: ["/init"], Cmd: ["go"], WorkingDir: "/srv" } };
  const layer = makeTar([{ path: "init", data: "#!" }]);
  const wanted = { env: ["A=b"], entrypoint: ["/init"], command: ["go"], workingDir: "/srv" };
  const read = (members: Member[]): ReturnType<typeof readImageArchive> => {
    writeFileSync(`${scratch}/image.tar`, makeTar(members));
    return readImageArchive(`${scratch}/image.tar`);
  };

  it("reads an archive of docker save", () => {
    const manifest = [{ Config: "c.json", RepoTags: ["x:1"], Layers: ["l.tar"] }];
    const image = read([
      { path: "manifest.json", data: JSON.stringify(manifest) },
      { path: "c.json", data: JSON.stringify(config) },
      { path: "l.tar", data: layer },
    ]);
    expect(image).toEqual({ config: wanted, tags: ["x:1"], layers: [layer] });
  });

  it("reads an OCI layout with a compressed layer", () => {
    const blob = (digest: string): string => `blobs/sha256/${digest}`;
    const manifest = { config: { digest: "sha256:cc" }, layers: [{ digest: "sha256:11" }] };
    const image = read([
      { path: "index.json", data: JSON.stringify({ manifests: [{ digest: "sha256:aa" }] }) },
      { path: blob("aa"), data: JSON.stringify(manifest) },
      { path: blob("cc"), data: JSON.stringify(config) },
      { path: blob("11"), data: gzipSync(layer) },
    ]);
    expect(image.config).toEqual(wanted);
    expect(image.layers).toEqual([layer]);
  });

  it.each<[string, Member[]]>([
    ["neither", [{ path: "x" }]],
    ["is missing", [{ path: "manifest.json", data: JSON.stringify([{ Config: "../../etc/passwd", Layers: [] }]) }]],
    ["names no image", [{ path: "manifest.json", data: "[]" }]],
  ])("reports: %s", (reason, members) => expect(() => read(members)).toThrow(reason));
});
