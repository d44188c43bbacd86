import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const MAX_LINES = 400;

/** The folders that each folder may import, from the table in ARCHITECTURE.md. */
function importTable(): Map<string, Set<string>> {
  const rows = [
    ...readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8").matchAll(/^\| `src\/(\w+)\/.*?` \|.*\|(.*)\|$/gm),
  ];
  const folders = rows.map((row) => row[1] ?? "");
  return new Map(
    rows.map(([, folder = "", text = ""]) => {
      const named = folders.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
      const allowed = text.includes("all but") ? folders.filter((name) => !named.includes(name)) : named;
      return [folder, new Set(allowed)];
    }),
  );
}

interface Diagnostic {
  category: string;
  location: { path: string | { file: string }; start?: { line: number } };
}

/** `path:line` of every restricted import that the linter finds under `directory`. */
function restrictedImports(directory: string): Set<string> {
  const biome = join(ROOT, "node_modules/.bin/biome");
  const args = ["lint", "--reporter=json", "--max-diagnostics=none", "--vcs-enabled=false"];
  const options = { cwd: directory, encoding: "utf8" as const };
  const { stdout } = spawnSync(biome, [...args, `--config-path=${ROOT}`, "."], options);
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] };
  const found = diagnostics.filter(({ category }) => category === "lint/style/noRestrictedImports");
  return new Set(found.map(({ location }) => `${file(location)}:${location.start?.line ?? 0}`));
}

function file({ path }: Diagnostic["location"]): string {
  return (typeof path === "string" ? path : path.file).replace(/^\.\//, "");
}

describe("import directions", () => {
  const table = importTable();
  const folders = [...table.keys()];
  const others = (folder: string) => folders.filter((name) => name !== folder);
  const directory = mkdtempSync(join(tmpdir(), "weir-imports-"));
  let found: Set<string>;

  function write(path: string, imports: readonly string[]): void {
    mkdirSync(join(directory, path, ".."), { recursive: true });
    writeFileSync(join(directory, path), imports.map((from) => `export * from "${from}";\n`).join(""));
  }

  beforeAll(() => {
    for (const folder of folders) {
      const depth = folder === "functions" ? "../.." : "..";
      const home = folder === "functions" ? "functions/router" : folder;
      write(
        `src/${home}/probe.ts`,
        others(folder).map((name) => `${depth}/${name}/index.ts`),
      );
      write(`src/${home}/own.ts`, ["./probe.ts", "./lab/probe.ts", "node:fs", "zod"]);
      write(`src/${home}/probe.kernel.test.ts`, [`${depth}/kernel/index.ts`, `${depth}/agent/index.ts`]);
      write(`src/${home}/native.ts`, ["koffi"]);
    }
    write("src/functions/router/sibling.ts", ["../limit/limit.ts"]);
    write("src/functions/index.ts", ["./router/router.ts", "./limit/limit.ts", "../model/function.ts"]);
    found = restrictedImports(directory);
  }, 60_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("the table names every folder of src/", () => {
    const listed = execFileSync("git", ["ls-files", "src"], { cwd: ROOT, encoding: "utf8" });
    const present = new Set([...listed.matchAll(/^src\/(\w+)\//gm)].map((match) => match[1] ?? ""));
    expect(folders).toEqual(expect.arrayContaining([...present]));
  });

  test.each(folders)("src/%s: the linter refuses exactly the imports that the table does not allow", (folder) => {
    const path = `src/${folder === "functions" ? "functions/router" : folder}/probe.ts`;
    const refused = others(folder).filter((_, index) => found.has(`${path}:${index + 1}`));
    expect(refused).toEqual(others(folder).filter((name) => !table.get(folder)?.has(name)));
  });

  test("only src/kernel may import koffi", () => {
    const refused = folders.filter((name) =>
      found.has(`src/${name === "functions" ? "functions/router" : name}/native.ts:1`),
    );
    expect(refused).toEqual(others("kernel"));
  });

  test("no function imports another; its own files, the list of functions and tests may be imported", () => {
    const rest = [...found].filter((at) => !/(probe|native)\.ts:/.test(at));
    expect(rest).toEqual(["src/functions/router/sibling.ts:1"]);
  });
});

test(`no source file has more than ${MAX_LINES} lines`, () => {
  const paths = execFileSync("git", ["ls-files", "*.ts", "*.mjs", "*.c", "*.h", "*.sh", "*.css"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  const long = paths
    .split("\n")
    .filter((path) => path !== "")
    .map((path) => ({ path, lines: readFileSync(join(ROOT, path), "utf8").split("\n").length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES);
  expect(long).toEqual([]);
});
