import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Modules } from "./modules.ts";
import { scripts } from "./shells.ts";
import { Machine } from "./testing/harness.ts";
import { shop } from "./testing/samples.ts";

const unused = () => Promise.reject(new Error("completion loads no program"));
const modules: Modules = {
  agent: unused,
  uninstall: unused,
  doctor: unused,
  lab: unused,
  bench: unused,
  functions: unused,
  capabilities: unused,
  manifests: unused,
  kubernetes: unused,
};

let machine: Machine;
beforeEach(async () => {
  machine = await Machine.create();
  await machine.agent("node-1", shop(), "default");
  await machine.agent("node-2", {}, "default");
  await machine.agent("node-1", {}, "other");
});
afterEach(() => machine.close());

const complete = async (...words: string[]) => {
  const { code, out, err } = await machine.run(["__complete", "--", ...words], modules);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out.split("\n").filter(Boolean);
};

test.each<[string[], string[]]>([
  [["st"], ["status"]],
  [["lab", "u"], ["up"]],
  [["lab", "de"], ["delete"]],
  [
    ["get", "p"],
    ["pods", "ports", "problems", "programs"],
  ],
  [["get", "limits", "--l"], ["--lab"]],
  [
    ["get", "limits", "-o", ""],
    ["table", "wide", "json", "yaml"],
  ],
  [
    ["get", "pods", "-o", "json", "--lab", ""],
    ["default", "other"],
  ],
  [["get", "pods", "--lab=o"], ["--lab=other"]],
  [
    ["get", "pods", "--lab", "default", "--node", ""],
    ["node-1", "node-2"],
  ],
  [
    ["get", "pods", "--lab", "default", "web"],
    ["web-10", "web-9"],
  ],
  [["get", "pods", "--lab", "default", "-n", "none", ""], []],
  [["get", "drops", "--lab", "default", ""], ["no_route"]],
  [["lab", "exec", "-n", "shop", "web-1"], ["web-10"]],
  [["lab", "exec", "-n", ""], ["shop"]],
  [["lab", "exec", ""], []],
  [["lab", "exec", "-n", "shop", "web-10", "--", "l"], [":files"]],
  [
    ["lab", "down", "--name", ""],
    ["default", "other"],
  ],
  [
    ["lab", "up", "--overlay", ""],
    ["vxlan", "direct"],
  ],
  [["lab", "up", "-f", "exa"], [":files"]],
  [["lab", "up", "--kubeconfig", "exa"], [":files"]],
  [
    ["bench", "f"],
    ["flows", "forward", "footprint"],
  ],
  [["explain", "kubernetes.io/i"], ["kubernetes.io/ingress-bandwidth"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [["agent", "--log-level", "d"], ["debug"]],
  [["nonsense", "x", ""], []],
  [["get", "pods", "--lab", "../..", "--node", ""], []],
])("%j", async (words, expected) => {
  expect((await complete(...words)).sort()).toEqual([...expected].sort());
});

test("sub-commands, without the hidden ones", async () => {
  const commands = await complete("");
  expect(commands).toEqual(expect.arrayContaining(["status", "get", "lab", "bench", "agent", "completion"]));
  expect(commands).not.toContain("__complete");
  expect(await complete("lab", "")).not.toContain("supervise");
});

test("an agent that hangs does not delay completion", async () => {
  const backend = await machine.agent("node-3", {}, "default");
  backend.pods = () => new Promise(() => {});
  expect(await complete("get", "pods", "--lab", "default", "web")).toEqual(["web-10", "web-9"]);
});

describe("scripts", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "weir-t"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function bash(line: string, words: readonly string[], answer: string): Promise<[string[], string[]]> {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const program = [
      scripts.bash,
      `COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}`,
      `_weir; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ].join("\n");
    await writeFile(join(folder, "weir"), `#!/bin/sh\nprintf '%s\\n' "$@" > ${folder}/asked\necho '${answer}'\n`);
    await chmod(join(folder, "weir"), 0o755);
    const { stdout } = await promisify(execFile)("bash", ["-c", program], {
      env: { PATH: `${folder}:/bin:/usr/bin` },
      cwd: folder,
    });
    const asked = await readFile(join(folder, "asked"), "utf8");
    return [asked.split("\n").slice(0, -1), stdout.split("\n").filter(Boolean)];
  }

  test.each([
    ["weir get ", ["weir", "get", ""], "pods", ["get", ""], ["pods"]],
    ["weir get po", ["weir", "get", "po"], "pods", ["get", "po"], ["pods"]],
    ["weir get pods --lab=", ["weir", "get", "pods", "--lab", "="], "--lab=a", ["get", "pods", "--lab="], ["a"]],
    [
      "weir get pods --lab=a",
      ["weir", "get", "pods", "--lab", "=", "a"],
      "--lab=ab",
      ["get", "pods", "--lab=a"],
      ["ab"],
    ],
    ["weir lab up -f as", ["weir", "lab", "up", "-f", "as"], ":files", ["lab", "up", "-f", "as"], ["asked"]],
  ])("bash: %j", async (line, words, answer, asked, candidates) => {
    expect(await bash(line, words, answer)).toEqual([["__complete", "--", ...asked], candidates]);
  });
});
