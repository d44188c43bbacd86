import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkMacroName,
  checkProgramName,
  type MacroDeclaration,
  parseProgramRules,
  resolveMacros,
} from "./program-rules.ts";

const PRINTABLE = /^[\x20-\x7e…]*$/;
const macros = (...pairs: [string, string][]) => pairs.map(([name, value]) => ({ name, value }));

describe("parseProgramRules", () => {
  it.each([
    ["drop egress", [["drop", "egress", []]]],
    ["  drop\tingress  ", [["drop", "ingress", []]]],
    ["drop-one-of egress -DN=100", [["drop-one-of", "egress", [["N", "100"]]]]],
    [
      "a egress -DZ=0x1F -DA=-7",
      [
        [
          "a",
          "egress",
          [
            ["A", "-7"],
            ["Z", "31"],
          ],
        ],
      ],
    ],
    [
      "a egress -DN=-0 -DM=-0x10",
      [
        [
          "a",
          "egress",
          [
            ["M", "-16"],
            ["N", "0"],
          ],
        ],
      ],
    ],
    [
      "a egress -DN=9223372036854775807 -DM=-9223372036854775808",
      [
        [
          "a",
          "egress",
          [
            ["M", "-9223372036854775808"],
            ["N", "9223372036854775807"],
          ],
        ],
      ],
    ],
    [
      "a egress -DN=1; b ingress",
      [
        ["a", "egress", [["N", "1"]]],
        ["b", "ingress", []],
      ],
    ],
    [
      "a egress, a ingress",
      [
        ["a", "egress", []],
        ["a", "ingress", []],
      ],
    ],
    [`${"a".repeat(32)} egress`, [["a".repeat(32), "egress", []]]],
  ] as [string, [string, string, [string, string][]][]][])("reads %j", (text, expected) => {
    const parsed = parseProgramRules(text);
    expect(parsed.ok && parsed.value.map((one) => [one.program, one.direction, one.macros])).toEqual(
      expected.map(([program, direction, pairs]) => [program, direction, macros(...pairs)]),
    );
  });

  it.each([
    ["", "is not a rule"],
    ["drop", "is not a rule"],
    ["drop egress;", "is not a rule"],
    ["drop;reboot egress", '"drop" is not a rule'],
    ["drop both", 'has the direction "both"'],
    ["drop egress\n", 'has the direction "egress\\u000a"'],
    ["drop\nrm egress", "is no program's name"],
    ["../../etc/shadow egress", "is no program's name"],
    ["a/b egress", "is no program's name"],
    [".. egress", "is no program's name"],
    ["a.c egress", "is no program's name"],
    ["Drop egress", "is no program's name"],
    ["-o egress", "is no program's name"],
    ["dr\u0430p egress", "is no program's name"],
    ["drop\0 egress", "is no program's name"],
    [`${"a".repeat(33)} egress`, "is longer than 32"],
    ["a egress; b egress", "gives egress twice"],
    ["a egress -DN=1 -DN=1", "macro N is given twice"],
    ["a egress -D N=1", '"-D" names no macro'],
    ["a egress -DN= 1", 'macro N: "" is no whole number'],
    ["a egress -DN =1", "macro N has no value"],
    ["a egress -DN", "macro N has no value"],
    ["a egress -D=1", "names no macro"],
    ["a egress -DN=1 2", '"2" is no macro'],
    ["a egress N=1", "is no macro"],
    ["a egress -include=/etc/shadow", "is no macro"],
    ["a egress -I/root", "is no macro"],
    ["a egress @/etc/shadow", "is no macro"],
    ["a egress -DN=1.5", "is no whole number"],
    ["a egress -DN=010", "is no whole number"],
    ["a egress -DN=+1", "is no whole number"],
    ["a egress -DN=1u", "is no whole number"],
    ["a egress -DN=(1)", "is no whole number"],
    ["a egress -DN=1\n#include", "is no whole number"],
    ["a egress -DN=9223372036854775808", "is not within"],
    ["a egress -DN=0xffffffffffffffff", "is not within"],
    ["a egress -DN=-9223372036854775809", "is not within"],
    ["a egress -DN=99999999999999999999", "is no whole number"],
    ["a egress -D1N=1", "is no macro's name"],
    ["a egress -DF(x)=1", "is no macro's name"],
    ["a egress -DINTERFACE=1", "INTERFACE is Weir's"],
    ["a egress -DWEIR_DROP=1", "is reserved"],
    ["a egress -Dweir_program=1", "is reserved"],
    ["a egress -D__BPF__=1", "is reserved"],
    ["a egress -D_Static_assert=1", "is reserved"],
    [`a egress -D${"N".repeat(65)}=1`, "is longer than 64"],
    [`a egress${" -DN=1".repeat(17)}`, "16 macros at most"],
    [`a egress ${" ".repeat(1024)}`, "is longer than 1024"],
  ])("refuses %j", (text, reason) => {
    const parsed = parseProgramRules(text);
    expect(parsed.ok ? "" : parsed.reason).toContain(reason);
    expect(parsed.ok ? "" : parsed.reason).toMatch(PRINTABLE);
  });
});

describe("resolveMacros", () => {
  const declared: MacroDeclaration[] = [
    { name: "N", min: 1n, max: 1000n, required: true },
    { name: "BURST", min: -5n, max: 5n, default: 2n },
    { name: "DEBUG", min: 0n, max: 1n },
  ];
  it.each([
    [
      [["N", "1"]],
      [
        ["BURST", "2"],
        ["N", "1"],
      ],
    ],
    [
      [
        ["N", "1000"],
        ["BURST", "-5"],
        ["DEBUG", "0"],
      ],
      [
        ["BURST", "-5"],
        ["DEBUG", "0"],
        ["N", "1000"],
      ],
    ],
  ] as [string, string][][][])("completes %j", (given, expected) => {
    expect(resolveMacros(declared, macros(...(given ?? [])))).toEqual({ ok: true, value: macros(...(expected ?? [])) });
  });
  it.each([
    [[], "macro N is required; add -DN=<1 to 1000>"],
    [[["N", "0"]], "macro N is 0, not within 1 to 1000"],
    [[["N", "1001"]], "macro N is 1001, not within 1 to 1000"],
    [
      [
        ["N", "1"],
        ["BURST", "6"],
      ],
      "macro BURST is 6, not within -5 to 5",
    ],
    [
      [
        ["N", "1"],
        ["X", "1"],
      ],
      "macro X is not declared for this program; it has N, BURST, DEBUG",
    ],
  ] as [[string, string][], string][])("refuses %j", (given, reason) => {
    expect(resolveMacros(declared, macros(...given))).toEqual({ ok: false, reason });
  });
  it("says that a program has no macros", () => {
    const reason = "macro X is not declared for this program; it has none";
    expect(resolveMacros([], macros(["X", "1"]))).toEqual({ ok: false, reason });
  });
});

describe("hostile values", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.constantFrom("a", "drop-1", "egress", "ingress", "-DN=1", "-DM=0x7f", "-D", "-DN", "=", "-I/", "../a", "$(id)"),
    fc.bigInt(-(2n ** 65n), 2n ** 65n).map((n) => `-DN=${n}`),
  );
  const hostile = fc
    .array(fc.tuple(word, fc.constantFrom(" ", "\t", "\n", "", ";", ",", "\u00a0", "\0")), { maxLength: 12 })
    .map((parts) => parts.flat().join(""));
  const nearly = fc
    .tuple(fc.constantFrom("a", "b-c", "a;b", "../a", "A"), fc.constantFrom("egress", "ingress", "both"), word, word)
    .map((parts) => parts.join(" "));

  it("give names, directions and numbers that are safe as an argument, or a printable reason", () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(hostile, nearly), (value) => {
        const parsed = parseProgramRules(value);
        if (!parsed.ok) {
          expect(parsed.reason).toMatch(PRINTABLE);
          return;
        }
        accepted++;
        expect(parsed.value.length).toBeLessThanOrEqual(2);
        for (const { program, direction, macros: given, configured } of parsed.value) {
          expect(checkProgramName(program)).toBeUndefined();
          expect(["ingress", "egress"]).toContain(direction);
          expect(configured).toMatch(/^[\x20-\x7e\t]+$/);
          for (const { name, value: number } of given) {
            expect(checkMacroName(name)).toBeUndefined();
            expect(number).toMatch(/^(0|-?[1-9]\d*)$/);
            expect(BigInt.asIntN(64, BigInt(number))).toBe(BigInt(number));
          }
        }
      }),
      { numRuns: 5000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it("are read back exactly when they are numbers of 64 bits, in decimal and in hexadecimal", () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 64n), 2n ** 64n), fc.boolean(), (n, isHex) => {
        const digits = n < 0n ? -n : n;
        const text = `${n < 0n ? "-" : ""}${isHex ? `0x${digits.toString(16)}` : digits}`;
        const parsed = parseProgramRules(`a egress -DN=${text}`);
        expect(parsed.ok).toBe(BigInt.asIntN(64, n) === n);
        if (parsed.ok) expect(parsed.value[0]?.macros).toEqual(macros(["N", String(n)]));
      }),
    );
  });
});
