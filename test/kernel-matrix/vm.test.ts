import { expect, test } from "vitest";
import { exitCodeOf } from "./vm.ts";

test.each([
  ["a line of its own", "[    1.0] Run /init\r\nweir-vm-exit 0\r\n", 0],
  ["a kernel message in front of its end", "weir-vm-exit 3[   17.383010] sysrq: Power Off\r\n", 3],
  ["a kernel message in front of it", "[   17.3] random: crng init doneweir-vm-exit 127\n", 127],
  ["a machine that died", "[    2.0] Kernel panic - not syncing", undefined],
])("exit code: %s", (_, console, code) => {
  expect(exitCodeOf(console)).toBe(code);
});
