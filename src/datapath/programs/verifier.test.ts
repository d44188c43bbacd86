import { expect, test } from "vitest";
import { tellingLine } from "./verifier.ts";

test.each([
  [
    "the last reasons, and the statement",
    "func#0 @0\n0: R1=ctx() R10=fp0\n; return *p; @ x.c:7\n3: (61) r0 = *(u32 *)(r1 +0)\ninvalid access to packet, off=0 size=4, R1(id=0)\nR1 offset is outside of the packet\nprocessed 9 insns (limit 1000000)\n",
    'invalid access to packet, off=0 size=4, R1(id=0); R1 offset is outside of the packet (at "return *p;")',
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
    "without a statement",
    "BPF program is too large. Processed 1000001 insn\n",
    "BPF program is too large. Processed 1000001 insn",
  ],
  ["nothing", "", "no reason given"],
  ["what could forge a terminal's output", "evil \u001b[31m\u202e reason\n", "evil ?[31m? reason"],
])("%s", (_what, log, line) => {
  expect(tellingLine(log)).toBe(line);
});

test("is short, whatever the log", () => {
  expect(tellingLine(`; ${"x".repeat(1000)}\n${"y".repeat(1000)}\n`).length).toBeLessThan(400);
});
