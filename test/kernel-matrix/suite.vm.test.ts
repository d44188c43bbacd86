import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Assertion, runSuiteInVm } from "./suite.ts";
import type { VmResult } from "./vm.ts";

const ROOT = join(import.meta.dirname, "../..");
const MINUTE = 60_000;
/** The panel's and the flow table's tests and each function's own, `NAME/NAME.kernel.test.ts`; the rest needs no second kernel. */
const FUNCTIONS = readdirSync(join(ROOT, "src/functions")).map(
  (name) => `src/functions/${name}/${name}.kernel.test.ts`,
);
const FILES = [
  ...["panel", "flows", "flows-flood", "flows-hostile", "flows-kept", "flows-traffic"].map(
    (name) => `src/datapath/${name}.kernel.test.ts`,
  ),
  ...FUNCTIONS.filter((path) => existsSync(join(ROOT, path))),
];

describe("on Linux 6.1, attached by clsact", () => {
  let vm: VmResult;
  let byFile: Map<string, Assertion[]>;

  beforeAll(async () => {
    ({ vm, byFile } = await runSuiteInVm(FILES, 18 * MINUTE));
  }, 19 * MINUTE);

  test.each(FILES)("%s", (file) => {
    const tests = byFile.get(file) ?? [];
    expect(tests.length, vm.output + vm.console).toBeGreaterThan(0);
    const failed = tests.filter(({ status }) => status !== "passed");
    expect(failed.map(({ fullName, failureMessages }) => [fullName, ...failureMessages].join("\n")).join("\n")).toBe(
      "",
    );
  });
});
