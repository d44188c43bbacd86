import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LIST, parseList, readProgramFolder } from "./catalog.ts";

let base: string;
let folder: string;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "weir-programs-")));
  folder = join(base, "programs");
  mkdirSync(folder, { mode: 0o755 });
  writeFileSync(join(base, "secret"), "hunter2");
  list();
  writeFileSync(join(folder, "a.c"), "int x;", { mode: 0o644 });
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const header = "apiVersion: weir.dev/v1alpha1\nkind: ProgramList\nprograms:\n";
const list = (text = "- {name: a, source: a.c}\n"): void =>
  writeFileSync(join(folder, LIST), header + text, { mode: 0o644 });

/** The source's text, or the reason why there is none. */
function outcome(path = folder): string {
  const { catalog, source } = readProgramFolder(path);
  if (catalog.reason !== undefined) return catalog.reason;
  const text = source("a.c");
  return text.ok ? `text ${text.value}` : text.reason;
}

test("a folder that only root can write is read", () => {
  expect(outcome()).toBe("text int x;");
  expect(readProgramFolder(folder).catalog.programs.get("a")).toEqual({
    name: "a",
    file: "a.c",
    description: undefined,
    directions: ["ingress", "egress"],
    macros: [],
  });
});

describe("what others could have written is refused", () => {
  test.each<[string, () => void, RegExp]>([
    ["folder of another user", () => chownSync(folder, 1000, 0), /programs": it belongs to user 1000, not to root/],
    ["folder that a group may write", () => chmodSync(folder, 0o775), /others than root can write there \(chmod go-w/],
    ["folder that all may write", () => chmodSync(folder, 0o757), /others than root can write there/],
    ["folder in a folder of another user", () => chownSync(base, 1000, 0), /belongs to user 1000/],
    ["folder in a folder that all may write", () => chmodSync(base, 0o777), /others than root can write there/],
    ["list of another user", () => chownSync(join(folder, LIST), 1000, 0), /programs\.yaml": it belongs to user 1000/],
    ["list that others may write", () => chmodSync(join(folder, LIST), 0o646), /others than root can write there/],
    ["source of another user", () => chownSync(join(folder, "a.c"), 1000, 0), /a\.c": it belongs to user 1000/],
    ["source that a group may write", () => chmodSync(join(folder, "a.c"), 0o664), /others than root can write there/],
    ["no list", () => rmSync(join(folder, LIST)), /programs\.yaml": it is not there/],
    ["no source", () => rmSync(join(folder, "a.c")), /a\.c": it is not there/],
    ["no folder", () => rmSync(folder, { recursive: true }), /programs": it is not there/],
    ["a file in the folder's place", () => fileForFolder(), /symbolic link, or no folder/],
    ["a folder in the source's place", () => folderForSource(), /a\.c": it is no file/],
    ["a source that is too large", () => writeFileSync(join(folder, "a.c"), Buffer.alloc(300_000)), /300000 bytes/],
    ["a link in the list's place", () => linkTo(LIST, "../secret"), /programs\.yaml": it is a symbolic link/],
    ["a link in the source's place", () => linkTo("a.c", "../secret"), /a\.c": it is a symbolic link/],
    ["a link to the password file", () => linkTo("a.c", "/etc/shadow"), /a\.c": it is a symbolic link/],
    ["a link in the folder's place", () => linkedFolder(), /programs": it is a symbolic link/],
  ])("%s", (_what, attack, reason) => {
    attack();
    expect(outcome()).toMatch(reason);
    expect(outcome()).not.toContain("hunter2");
  });

  const linkTo = (name: string, target: string): void => {
    rmSync(join(folder, name));
    symlinkSync(target, join(folder, name));
  };
  const linkedFolder = (): void => {
    renameSync(folder, join(base, "elsewhere"));
    symlinkSync("elsewhere", folder);
  };
  const fileForFolder = (): void => {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "");
  };
  const folderForSource = (): void => {
    rmSync(join(folder, "a.c"));
    mkdirSync(join(folder, "a.c"));
  };
});

test("a path with `..` or a symbolic link is refused", () => {
  expect(outcome(`${folder}/../programs`)).toMatch(/has ".." in its path/);
  symlinkSync(base, join(base, "round"));
  expect(outcome(join(base, "round", "programs"))).toMatch(/round": it is a symbolic link/);
});

test("a parent directory with the sticky bit, like /tmp, is accepted", () => {
  chmodSync(base, 0o1777);
  expect(outcome()).toBe("text int x;");
});

test("a hard link to root's file is accepted", () => {
  linkSync(join(folder, "a.c"), join(folder, "b.c"));
  expect(outcome()).toBe("text int x;");
});

describe("names in the list", () => {
  test.each([
    ["a path up", "- {name: a, source: ../secret.c}\n", /programs\[0\]\.source: .*no file name/],
    ["an absolute path", "- {name: a, source: /etc/x.c}\n", /no file name/],
    ["a path down", "- {name: a, source: sub/x.c}\n", /no file name/],
    ["a hidden file", "- {name: a, source: .x.c}\n", /no file name/],
    ["a NUL", '- {name: a, source: "a\\0.c"}\n', /no file name/],
    ["a newline", '- {name: a, source: "a\\n.c"}\n', /no file name/],
    ["another ending", "- {name: a, source: secret}\n", /no file name/],
    ["a name with ;", '- {name: "a;b", source: a.c}\n', /programs\[0\]\.name: .*no program's name/],
    ["a name with a newline", '- {name: "a\\nb", source: a.c}\n', /no program's name/],
    ["a name with a path", "- {name: ../a, source: a.c}\n", /no program's name/],
    ["twice the same", "- {name: a, source: a.c}\n- {name: a, source: b.c}\n", /"a" is listed twice/],
    [
      "a macro of Weir's",
      "- {name: a, source: a.c, macros: [{name: INTERFACE, min: 0, max: 1}]}\n",
      /INTERFACE is Weir's/,
    ],
    ["a macro with spaces", '- {name: a, source: a.c, macros: [{name: "N -x", min: 0, max: 1}]}\n', /no macro's name/],
    [
      "a range upside down",
      "- {name: a, source: a.c, macros: [{name: N, min: 2, max: 1}]}\n",
      /min must not be above max/,
    ],
    [
      "a default outside",
      "- {name: a, source: a.c, macros: [{name: N, min: 0, max: 1, default: 2}]}\n",
      /default must be within/,
    ],
    ["a fraction", "- {name: a, source: a.c, macros: [{name: N, min: 0.5, max: 1}]}\n", /macros\[0\]\.min/],
    [
      "beyond 64 bits",
      "- {name: a, source: a.c, macros: [{name: N, min: 0, max: 9223372036854775808}]}\n",
      /macros\[0\]\.max/,
    ],
    [
      "a macro twice",
      "- {name: a, source: a.c, macros: [{name: N, min: 0, max: 1}, {name: N, min: 0, max: 2}]}\n",
      /macro N twice/,
    ],
    ["a field that is not", "- {name: a, source: a.c, command: x}\n", /programs\[0\]: /],
    ["aliases", "- &a {name: a, source: a.c}\n- *a\n", /aliases are not taken/],
    ["no YAML", "- {\n", /programs\.yaml: /],
  ])("%s", (_what, text, reason) => {
    const parsed = parseList(header + text);
    expect(parsed.ok ? ([...parsed.value.refused.values()][0] ?? "taken") : parsed.reason).toMatch(reason);
  });

  test("an invalid entry does not affect others; two entries of one name are both refused", () => {
    const parsed = parseList(
      `${header}- {name: a, source: a.c}\n- {name: b, source: ../b.c}\n- {name: c, source: c.c}\n- {name: c, source: d.c}\n- 7\n`,
    );
    if (!parsed.ok) throw new Error(parsed.reason);
    expect([...parsed.value.programs.keys()]).toEqual(["a"]);
    expect([...parsed.value.refused.keys()]).toEqual(["b", "c", "programs[4]"]);
  });

  test("macros of 64 bits are exact", () => {
    const parsed = parseList(
      `${header}- {name: a, source: a.c, macros: [{name: N, min: -9223372036854775808, max: 9223372036854775807}]}\n`,
    );
    expect(parsed.ok && parsed.value.programs.get("a")?.macros).toEqual([
      { name: "N", min: -(2n ** 63n), max: 2n ** 63n - 1n },
    ]);
  });
});
