import { expect, test } from "vitest";
import { readRefusal } from "./verifier.ts";

test.each([
  [
    "the last reasons, and the line",
    "func#0 @0\n0: R1=ctx() R10=fp0\n; @ <stdin>:7\n3: (61) r0 = *(u32 *)(r1 +0)\ninvalid access to packet, off=0 size=4, R1(id=0)\nR1 offset is outside of the packet\nprocessed 9 insns (limit 1000000)\n",
    "7: invalid access to packet, off=0 size=4, R1(id=0); R1 offset is outside of the packet",
  ],
  [
    "states are no reason",
    "5: (05) goto pc-1\ninfinite loop detected at insn 5\ncur state: R1=ctx()\nold state: R1=ctx()\n",
    "infinite loop detected at insn 5",
  ],
  [
    "a reason in the line of a jump",
    "5: (5e) if w0 != w6 goto pc-2 4: R0=scalar() R10=fp0\n4: (85) call bpf_get_prandom_u32#7 ; R0=scalar()\n5: (5e) if w0 != w6 goto pc-2 infinite loop detected at insn 4\ncur state: R0=scalar()\n",
    "infinite loop detected at insn 4",
  ],
  [
    "the line of the last statement that has one, of this file",
    "; @ <stdin>:9\n5: (b7) r0 = 0\n; @ <stdin>:0\n6: (b7) r0 = 0\n; static int x @ bpf_helpers.h:30\n7: (05) goto pc-1\nR1 is wrong\n",
    "9: R1 is wrong",
  ],
  [
    "a kernel that names no lines: by the number, from where the user's function begins",
    "0: R1=ctx()\n; \n0: (b7) r0 = 0\nValidating weir_program() func#1...\n54: R1=ctx() R10=fp0\n; \n54: (b7) r0 = 0\n; \n55: (05) goto pc-1\ninfinite loop detected at insn 55\ncur state: R1=ctx()\n",
    "101: infinite loop detected at insn 55",
  ],
  [
    "the same, by the last instruction",
    "Validating weir_program() func#1...\n54: R1=ctx() R10=fp0\n54: (b7) r0 = 0\n56: (61) r0 = *(u32 *)(r1 +0)\nR1 offset is outside of the packet\n",
    "102: R1 offset is outside of the packet",
  ],
  [
    "without a place",
    "BPF program is too large. Processed 1000001 insn\n",
    "BPF program is too large. Processed 1000001 insn",
  ],
  ["nothing", "", "no reason given"],
  ["what could forge a terminal's output", "evil \u001b[31m\u202e reason\n", "evil ?[31m? reason"],
])("%s", (_what, log, line) => {
  expect(said(log)).toBe(line);
});

/** Reads a log in which instruction n of the user's function is at line 100 + n. */
function said(log: string): string {
  const { reason, line: at } = readRefusal(log, (index) => 100 + index);
  return at === undefined ? reason : `${at}: ${reason}`;
}

test("the reason is short, however long the log", () => {
  expect(said(`; ${"x".repeat(1000)}\n${"y".repeat(1000)}\n`).length).toBeLessThan(400);
});
