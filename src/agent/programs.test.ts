import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Builder } from "../datapath/programs/builder.ts";
import type { Source } from "../datapath/programs/compile.ts";
import { parseProgramRules } from "../model/program-rules.ts";
import type { ProgramRule } from "../model/programs.ts";
import { bad, good, type Result } from "../model/text.ts";
import { Programs, stateKey } from "./programs.ts";

const LIST = `apiVersion: weir.dev/v1alpha1
kind: ProgramList
programs:
- {name: one, source: one.c, macros: [{name: N, min: 1, max: 9, default: 5}]}
- {name: out, source: one.c, directions: [egress]}
`;

let folder: string;
let changes: number;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "weir-programs-")));
  changes = 0;
  writeFileSync(join(folder, "programs.yaml"), LIST, { mode: 0o644 });
  writeFileSync(join(folder, "one.c"), "good", { mode: 0o644 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Accepts sources that contain `good`, and names builds by their macros. */
class FakeBuilder {
  built: string[] = [];
  async name({ text, macros, direction }: Source): Promise<string> {
    if (text.toString() === "nowhere") throw new Error("make sandbox: not permitted");
    return Buffer.from(`${text}${direction}${JSON.stringify(macros)}`)
      .toString("hex")
      .slice(-12);
  }
  async build({ text }: Source, name: string): Promise<Result<string>> {
    this.built.push(name);
    return text.toString().startsWith("good") ? good(name) : bad(`the verifier refuses one.c: ${text}`);
  }
  prune(): void {}
}

/** Rules by pod, and the pods that have a port. */
interface Given {
  programs: ReadonlyMap<string, readonly ProgramRule[]>;
  ports: readonly string[];
}
function rules(text: string, object = "Pod/ns/a"): ProgramRule[] {
  const parsed = parseProgramRules(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value.map((one) => ({ ...one, source: "ebpf-limit", object, path: "x" }));
}
const given = (byPod: Record<string, string>, ports: readonly string[] = ["a", "b"]): Given => ({
  programs: new Map(Object.entries(byPod).map(([pod, text]) => [`ns/${pod}`, rules(text, `Pod/ns/${pod}`)])),
  ports,
});
const resolve = (by: Programs, { programs, ports }: Given) =>
  by.resolve(programs, (key) => ports.flatMap((name) => (key === `ns/${name}` ? [`weir-${name}`] : []))[0]);

function start(options: { held?: string[]; folder?: string | undefined; now?: () => number } = {}) {
  const builder = new FakeBuilder();
  const programs = new Programs({
    folder: "folder" in options ? options.folder : folder,
    builder: builder as unknown as Builder,
    held: options.held ?? [],
    onChange: () => changes++,
    ...(options.now && { now: options.now }),
  });
  const settle = async (now: Given) => {
    for (;;) {
      const resolution = resolve(programs, now);
      if (resolution.pending.size === 0) return resolution;
      await programs.idle;
    }
  };
  return { programs, builder, settle };
}
const A = stateKey("ns/a", "egress");

describe("a rule's program", () => {
  test("is compiling, then ready, which requests another pass", async () => {
    const { programs } = start();
    const one = given({ a: "one egress" });
    const first = resolve(programs, one);
    expect(first.states.get(A)).toMatchObject({ state: "compiling", build: undefined });
    expect([...first.pending]).toEqual(["ns/a"]);
    expect(first.problems).toEqual([]);
    await programs.idle;
    expect(changes).toBe(1);
    const second = resolve(programs, one);
    expect(second.states.get(A)).toMatchObject({ state: "ready", effective: "one -DN=5" });
    const build = second.states.get(A)?.build ?? "";
    expect([...second.builds]).toEqual([["ns/a", [{ direction: "egress", build }]]]);
  });

  test("is built once for all pods with the same rule", async () => {
    const { builder, settle } = start();
    await settle(given({ a: "one egress -DN=5", b: "one egress" }));
    expect(builder.built).toHaveLength(1);
    await settle(given({ a: "one egress; one ingress", b: "one egress -DN=6" }));
    expect(builder.built).toHaveLength(3);
  });

  test.each([
    ["no such program", "two egress", /"two" is not in the administrator's list, which has one, out/],
    ["a direction that it is not for", "out ingress", /out is for egress alone/],
    ["a macro out of its range", "one egress -DN=10", /one: macro N is 10, not within 1 to 9/],
    ["a macro that it has not", "one egress -DX=1", /one: macro X is not declared/],
  ])("%s: a problem of the object with the rule, and no program is in force", async (_what, text, reason) => {
    const { settle } = start();
    const { builds, problems } = await settle(given({ a: text }));
    expect(builds.size).toBe(0);
    expect(problems).toMatchObject([{ object: "Pod/ns/a", path: "x" }]);
    expect(problems[0]?.message).toMatch(reason);
    expect(problems[0]?.message).toMatch(/traffic passes as without it$/);
  });

  test("without a folder is refused, with a hint for the administrator", async () => {
    const { settle } = start({ folder: undefined });
    const { problems } = await settle(given({ a: "one egress" }));
    expect(problems[0]?.message).toMatch(/no folder of programs \(an administrator sets programs/);
  });
});

test("many new programs are spread over several passes", async () => {
  const { programs, settle } = start();
  await settle(given({ x: "one egress" }));
  const names = Array.from({ length: 40 }, (_, i) => `p${i}`);
  const many = given(Object.fromEntries(names.map((name) => [name, "one egress"])), names);
  const acting = () => resolve(programs, many).builds.size;
  expect([acting(), acting(), acting()]).toEqual([16, 32, 40]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(changes).toBe(3); // one of the build, two of the passes with programs left over
});

describe("the previous program stays in force", () => {
  test("while the next one is built, and if that is refused", async () => {
    const { programs, settle } = start();
    const before = (await settle(given({ a: "one egress -DN=1" }))).states.get(A)?.build;
    const next = resolve(programs, given({ a: "one egress -DN=2" }));
    expect(next.states.get(A)).toMatchObject({ state: "compiling", build: before, effective: "one -DN=1" });
    const refused = await settle(given({ a: "one egress -DN=99" }));
    expect(refused.states.get(A)).toMatchObject({ state: "refused", build: before });
    expect(refused.problems[0]?.message).toMatch(/the program before stays: one -DN=1$/);
    expect(refused.builds.get("ns/a")).toEqual([{ direction: "egress", build: before }]);
  });

  test("if the source becomes invalid, and is removed with the rule", async () => {
    const { settle } = start();
    const before = (await settle(given({ a: "one egress" }))).states.get(A)?.build;
    writeFileSync(join(folder, "one.c"), "evil");
    const bad = await settle(given({ a: "one egress" }));
    expect(bad.states.get(A)).toMatchObject({ state: "refused", build: before });
    expect(bad.problems[0]?.message).toContain("the verifier refuses one.c: evil");
    writeFileSync(join(folder, "one.c"), "good again");
    expect((await settle(given({ a: "one egress" }))).states.get(A)).toMatchObject({ state: "ready" });
    expect((await settle(given({}))).builds.size).toBe(0);
    writeFileSync(join(folder, "one.c"), "evil");
    expect((await settle(given({ a: "one egress" }))).builds.size).toBe(0);
  });

  test("across a restart: the kernel's programs are recognized by name", async () => {
    writeFileSync(join(folder, "one.c"), "evil");
    const { settle } = start({ held: ["custom:weir-a:egress:0123456789ab", "something else"] });
    const { states, builds } = await settle(given({ a: "one egress", b: "one egress" }));
    expect(states.get(A)).toMatchObject({ state: "refused", build: "0123456789ab", effective: undefined });
    expect([...builds.keys()]).toEqual(["ns/a"]);
  });
});

test("a build that failed for lack of a sandbox is retried later", async () => {
  let now = 0;
  const { settle } = start({ now: () => now });
  writeFileSync(join(folder, "one.c"), "nowhere");
  const refused = await settle(given({ a: "one egress" }));
  expect(refused.problems[0]?.message).toMatch(/cannot be compiled here: make sandbox: not permitted/);
  now = 31_000;
  const again = start({ now: () => now });
  writeFileSync(join(folder, "one.c"), "good");
  expect((await again.settle(given({ a: "one egress" }))).states.get(A)?.state).toBe("ready");
});
