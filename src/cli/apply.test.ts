import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findKind, readManifestDocuments, specSchemas } from "../agent/manifests.ts";
import type { MemoryBackend } from "../api/testing/memory.ts";
import type { Problem } from "../model/problem.ts";
import type { LabModule, Modules } from "./modules.ts";
import { Machine } from "./testing/harness.ts";

let machine: Machine;
let backend: MemoryBackend;
let folder: string;
let calls: unknown[];
beforeEach(async () => {
  machine = await Machine.create();
  folder = mkdtempSync(join(tmpdir(), "weir-apply-"));
  calls = [];
});
afterEach(async () => {
  await machine.close();
  rmSync(folder, { recursive: true });
});

const POD = (name: string, bandwidth = "1 mbps egress") =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, annotations: {bandwidth: ${bandwidth}}}\nspec: {containers: [{name: c, image: x}]}\n`;

function written(text: string): string {
  const path = join(folder, "objects.yaml");
  writeFileSync(path, text);
  return path;
}

let previewed: Problem[] = [];
const lab = {
  apply: async (options: unknown) => {
    calls.push(["apply", options]);
    return 0;
  },
  del: async (options: unknown) => {
    calls.push(["del", options]);
    return 0;
  },
  changes: async () => ({
    changes: [
      { key: "Pod/default/new", after: { kind: "Pod" } },
      { key: "Pod/default/old", before: { a: 1, b: [1] }, after: { a: 2, b: [1], c: "\u001b[31m" } },
      { key: "Pod/default/same", before: { a: 1 }, after: { a: 1 } },
    ],
    problems: [],
    previewed,
  }),
} as unknown as LabModule;
const modules: Partial<Modules> = {
  manifests: async () => ({ findKind, readManifestDocuments, specSchemas }),
  lab: async () => lab,
  capabilities: async () => ({ capabilityNames: [] }),
};
const run = (argv: string[], stdin = "") =>
  machine.run(argv, modules, {
    stdin: {
      async *[Symbol.asyncIterator]() {
        yield stdin;
      },
    },
  });

describe("at an agent", () => {
  beforeEach(async () => {
    backend = await machine.agent("node-1");
  });

  test("apply, diff and delete of one set of objects", async () => {
    const path = written(`${POD("a")}---\n${POD("b")}`);
    const dry = await run(["apply", "-f", path, "--dry-run"]);
    expect(dry).toEqual({
      code: 0,
      out: "would be created: Pod/default/a\nwould be created: Pod/default/b\n",
      err: "",
    });
    expect(backend.state.objects).toEqual([]);
    expect((await run(["diff", "-f", path])).code).toBe(1);
    expect((await run(["apply", "-f", path])).out).toBe("created Pod/default/a\ncreated Pod/default/b\n");
    expect(await run(["diff", "-f", path])).toEqual({ code: 0, out: "", err: "" });
    expect((await run(["apply", "-f", path])).out).toBe("unchanged Pod/default/a\nunchanged Pod/default/b\n");
    written(POD("a", "2 mbps egress"));
    expect((await run(["apply", "-f", "-"], POD("a", "2 mbps egress"))).out).toBe("changed Pod/default/a\n");
    expect(await run(["delete", "-f", path, "pods/b", "Pod/none", "--dry-run"])).toEqual({
      code: 0,
      out: "would delete Pod/default/b\nwould delete Pod/default/a\n",
      err: "! Pod/default/none: does not exist\n",
    });
    expect((await run(["delete", "-f", path, "pods/b"])).out).toBe("deleted Pod/default/b\ndeleted Pod/default/a\n");
    expect(backend.state.objects).toEqual([]);
  });

  test("a field's change is a line", async () => {
    const manifest = { kind: "Pod", apiVersion: "v1", metadata: { name: "a", namespace: "default" }, spec: {} };
    backend.state.objects = [{ kind: "Pod", namespace: "default", name: "a", manifest }];
    const ran = await run(["diff", "-f", "-"], POD("a"));
    expect(ran.code).toBe(1);
    expect(ran.out).toBe(
      [
        "changed Pod/default/a",
        '  + metadata.annotations: {"bandwidth":"1 mbps egress"}',
        '  + spec.containers: [{"name":"c","image":"x"}]',
        "",
      ].join("\n"),
    );
  });

  test("an invalid object is reported with its place, and nothing is applied", async () => {
    const path = written(`${POD("a")}---\n${POD("B")}`);
    const ran = await run(["apply", "-f", path]);
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(
      /^✖ objects.yaml metadata.name: "B" must be .* \(objects.yaml:8:18\)\nweir: .*nothing was changed/,
    );
    expect(backend.state.objects).toEqual([]);
    expect((await run(["diff", "-f", path])).code).toBe(2);
    expect((await run(["diff", "-f", join(folder, "none")])).code).toBe(2);
  });

  test.each<[string[], string]>([
    [["apply"], "-f, --file"],
    [["delete"], "KIND/NAME"],
    [["delete", "nonsense/a"], "no such kind"],
    [["delete", "pod"], "write Pod/[NAMESPACE/]NAME"],
    [["delete", "node/a/b"], "write Node/NAME"],
    [["apply", "-f", "-", "--lab", "x", "--socket", "y"], "exclude each other"],
  ])("%j is wrong usage", async (argv, message) => {
    const { code, err } = await run(argv);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });
});

describe("in a lab", () => {
  test("apply and delete are the lab's", async () => {
    const path = written(POD("a"));
    expect((await run(["apply", "-f", path, "-f", "-", "--lab", "x"], "text")).code).toBe(0);
    expect((await run(["delete", "-n", "shop", "pod/slow", "--lab", "x"])).code).toBe(0);
    expect(calls).toEqual([
      ["apply", { name: "x", files: [path], text: "text" }],
      ["del", { name: "x", files: [], keys: ["Pod/shop/slow"], dryRun: undefined }],
    ]);
  });

  test("the lab's own commands read standard input too", async () => {
    for (const verb of ["apply", "delete"]) {
      expect((await run(["lab", verb, "-f", "-", "--name", "x"], "text")).code).toBe(0);
    }
    const expected = { name: "x", files: [], text: "text" };
    expect(calls).toEqual([
      ["apply", expected],
      ["del", expected],
    ]);
  });

  test("a dry run reports problems, with their exit code; a difference is no failure", async () => {
    previewed = [{ object: "Pod/default/new", message: "it would be bad" }];
    const ran = await run(["apply", "-f", "x", "--lab", "x", "--dry-run"]);
    expect(ran).toMatchObject({ code: 1, err: "✖ Pod/default/new: it would be bad\n" });
    expect(ran.out).toContain("would be created: Pod/default/new\n");
    expect(await run(["diff", "-f", "x", "--lab", "x"])).toMatchObject({ code: 1, err: ran.err });
    previewed = [];
  });

  test.each([
    [["apply", "-f", ""], "Write a path."],
    [["delete", "Limit/\u001b[31mx"], "a name "],
    [["delete", "Limit/../x"], "a name "],
  ])("%j is wrong usage, told in printable text", async (argv, message) => {
    const { code, err } = await run([...argv, "--lab", "x"]);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(err).not.toContain("\u001b");
  });

  test("diff shows fields, with untrusted text escaped", async () => {
    expect(await run(["diff", "-f", "x", "--lab", "x"])).toEqual({
      code: 1,
      out: [
        "created Pod/default/new",
        '  + kind: "Pod"',
        "changed Pod/default/old",
        "  ~ a: 1 → 2",
        '  + c: "\\u001b[31m"',
        "",
      ].join("\n"),
      err: "",
    });
    expect((await run(["apply", "-f", "x", "--lab", "x", "--dry-run"])).out).toBe(
      "would be created: Pod/default/new\nwould be changed: Pod/default/old\nunchanged Pod/default/same\n",
    );
  });
});
