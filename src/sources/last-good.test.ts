import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { reduceRules } from "../model/limits.ts";
import type { LastGood } from "../model/remembered.ts";
import { LastGoodFile } from "./last-good.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-rules-"));
});
afterEach(() => rmSync(folder, { recursive: true }));
const path = () => join(folder, "rules.json");

const pod = (bandwidth: string) => ({ name: "p", namespace: "n", uid: "u", labels: {}, annotations: { bandwidth } });
const rules: LastGood = new Map([["n/p", reduceRules(undefined, pod("10 mbps egress; 20 mbps ingress")).rules]]);

describe("LastGoodFile", () => {
  it("keeps the last valid rules across a restart", () => {
    const before = new LastGoodFile(folder);
    expect(before.load()).toEqual(new Map());
    before.save(rules);
    const restored = new LastGoodFile(folder).load();
    expect(restored).toEqual(rules);
    const { limits } = reduceRules(restored.get("n/p"), pod("broken"));
    expect(limits.map((one) => one.rate)).toEqual([20_000_000, 10_000_000]);
  });

  it("writes only what changed", () => {
    const file = new LastGoodFile(folder);
    file.save(new Map());
    expect(existsSync(path())).toBe(false);
    file.save(rules);
    const { ino } = statSync(path());
    file.save(new Map(rules));
    expect(statSync(path()).ino).toBe(ino);
    file.save(new Map());
    expect(new LastGoodFile(folder).load()).toEqual(new Map());
  });

  it.each([
    "",
    "{}",
    '[["n/p",{"byKey":{"bandwidth":[{"direction":"up"}]}}]]',
    '[["n/p",{"byKey":{"rate":[{"direction":"egress","rate":1e15,"source":"","configured":""}]}}]]',
  ])("renames a file with %j, with a problem", (text) => {
    writeFileSync(path(), text);
    const file = new LastGoodFile(folder);
    expect(file.load()).toEqual(new Map());
    expect(file.problems).toMatchObject([{ message: expect.stringContaining("set aside") }]);
    expect([existsSync(path()), existsSync(`${path()}.broken`)]).toEqual([false, true]);
  });
});
