import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { builtObjects, type CheckResult, checks, runScriptInVm } from "./matrix.ts";
import type { VmResult } from "./vm.ts";

describe("Linux 6.1", () => {
  let vm: VmResult;
  let results: Map<string, CheckResult>;

  beforeAll(async () => {
    vm = await runScriptInVm(join(import.meta.dirname, "guest.ts"), { modules: ["veth", "sch_ingress", "cls_bpf"] });
    results = checks(vm.output);
  });

  test("the machine ran to its end", () => {
    expect(vm, vm.output + vm.console).toMatchObject({ exitCode: 0 });
  });

  const names = builtObjects().flatMap((name) => [`${name} loads`, `${name} attaches`, `${name} runs`]);
  test.each(names)("%s", (name) => {
    const result = results.get(name) ?? { name, passed: false, detail: `no result; output:\n${vm.output}` };
    expect(result.passed, result.detail).toBe(true);
  });
});
