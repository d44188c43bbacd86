import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import { check, errnoName, KernelError, tellingLines, VerifierError } from "./errors.ts";
import { firstWarning, verifierLog } from "./log.ts";

test.each([
  [1, "EPERM"],
  [11, "EAGAIN"],
  [95, "EOPNOTSUPP"],
  [524, "ENOTSUPP"],
  [3999, "E3999"],
])("errno %i is %s", (errno, name) => {
  expect(errnoName(errno)).toBe(name);
});

describe("messages read verb, object, cause, hint", () => {
  test.each([
    [{ code: "x", errno: "ENOENT", hint: "no such thing" }, "do this: ENOENT (no such thing)"],
    [{ code: "x", errno: "EPERM" }, "do this: EPERM (needs root, or CAP_BPF and CAP_NET_ADMIN)"],
    [{ code: "x", cause: new Error("broken") }, "do this: broken"],
    [{ code: "x", hint: "say more" }, "do this (say more)"],
    [{ code: "x" }, "do this"],
  ])("%o", (detail, message) => {
    const error = new KernelError("do this", detail);
    expect([error.message, error.code, error.errno]).toEqual([
      message,
      "x",
      "errno" in detail ? detail.errno : undefined,
    ]);
  });

  test("a negative result is an error, others pass", () => {
    expect(check(7, "do this", "x")).toBe(7);
    expect(() => check(-constants.errno.ENOSPC, "do this", "x")).toThrow("do this: ENOSPC");
  });
});

const LOG = `func#0 @0
0: R1=ctx(off=0,imm=0) R10=fp0
0: (61) r1 = *(u32 *)(r1 +76)
1: (71) r0 = *(u8 *)(r1 +40)
invalid access to packet, off=40 size=1, R1(id=0,off=40,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`;

test("a verifier's error has the log's last lines without the statistics", () => {
  expect(tellingLines(LOG)).toEqual({
    lines: ["invalid access to packet, off=40 size=1, R1(id=0,off=40,r=0)", "R1 offset is outside of the packet"],
    omitted: 4,
  });
  const error = new VerifierError("load program p of o", "EACCES", LOG);
  expect(error.message).toMatch(
    /^load program p of o: EACCES: invalid access.*outside of the packet \(4 line\(s\) omitted\)$/,
  );
  expect(error).toMatchObject({ name: "VerifierError", errno: "EACCES", code: "verifier-refused", log: LOG });
  expect(tellingLines("")).toEqual({ lines: [], omitted: 0 });
});

test("the log is cut out of what libbpf prints, and its first warning found", () => {
  const printed = `libbpf: prog 'p': BPF program load failed: Permission denied\nlibbpf: prog 'p': -- BEGIN PROG LOAD LOG --\n${LOG}-- END PROG LOAD LOG --\nlibbpf: failed to load object\n`;
  expect(verifierLog(printed)).toBe(LOG);
  expect(verifierLog("libbpf: map 'm': failed to create")).toBeUndefined();
  expect(firstWarning(printed)).toBe("prog 'p': BPF program load failed: Permission denied");
  expect(firstWarning("")).toBeUndefined();
});
