import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BpfMap, mountBpffs, unmountBpffs } from "../../kernel/index.ts";
import { Builder } from "./builder.ts";
import { checkObject, ENTRY } from "./check.ts";
import { Compiler } from "./compile.ts";
import { parseElf } from "./elf.ts";
import { lineOfInstruction } from "./lines.ts";
import { compileWrapper, headed, program } from "./testing/sources.ts";

const directory = mkdtempSync(join(tmpdir(), "weir-builder-"));
const maps = join(directory, "bpf", "maps");
const secret = join(directory, "secret");
const SECRET = "root:$6$hunter2";
let builder: Builder;

beforeAll(() => {
  mountBpffs(join(directory, "bpf"));
  mkdirSync(maps);
  writeFileSync(secret, `${SECRET}\n`);
  builder = new Builder({ wrapper: compileWrapper(directory), cache: join(directory, "cache"), maps });
});
afterAll(() => {
  unmountBpffs(join(directory, "bpf"));
  rmSync(directory, { recursive: true, force: true });
});

async function build(text: string, macros: Record<string, string> = {}) {
  const source = {
    file: "x.c",
    text: Buffer.from(text),
    direction: "egress" as const,
    macros: Object.entries(macros).map(([name, value]) => ({ name, value })),
  };
  const name = await builder.name(source);
  return { name, ...(await builder.build(source, name)) };
}

describe("programs that are accepted", () => {
  const map = `struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u64); __uint(max_entries, 4); } seen SEC(".maps");`;
  test.each([
    ["one line", program("return TC_ACT_OK;"), {}],
    ["a section with another name", headed(`SEC("classifier") int limiter(struct __sk_buff *skb) { return 0; }`), {}],
    ["no licence", headed(`SEC("tc") int x(struct __sk_buff *skb) { return 0; }`), {}],
    ["its direction", program(`enum { ingress, egress }; return INTERFACE == egress && WEIR_EGRESS;`), {}],
    ["macros", program("return skb->len - N > M;"), { N: "-9223372036854775808", M: "9223372036854775807" }],
    [
      "maps",
      `${program("__u32 k = 0; __u64 *v = bpf_map_lookup_elem(&seen, &k); return v ? (*v)++ & 1 : 0;", map)}`,
      {},
    ],
    [
      "data of its own",
      program("return n++ % 2 ? TC_ACT_OK : TC_ACT_SHOT;", "static int n; const volatile int m = 7;"),
      {},
    ],
    [
      "functions of its own",
      program(
        "return own(skb, 1);",
        "static __noinline int own(struct __sk_buff *skb, int n) { return skb->len > n; }",
      ),
      {},
    ],
    ["a loop that ends", program("int n = 0; for (int i = 0; i < 1000; i++) n += skb->len ^ i; return n & 1;"), {}],
  ])("%s", async (_what, text, macros) => {
    const result = await build(text, macros);
    expect(result.ok ? "taken" : result.reason).toBe("taken");
  });

  test("a build is compiled once, and another macro value gives another build", async () => {
    const text = program("return skb->len > N;");
    const [one, again, other] = [
      await build(text, { N: "1" }),
      await build(text, { N: "1" }),
      await build(text, { N: "2" }),
    ];
    expect(one.name).toBe(again.name);
    expect(other.name).not.toBe(one.name);
  });
});

describe("programs that are refused with a reason", () => {
  const section = (line: string) => `asm(${JSON.stringify(line)});`;
  const pinned = `struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u64); __uint(max_entries, 1); __uint(pinning, LIBBPF_PIN_BY_NAME); } seen SEC(".maps");`;
  const mapOf = (type: string, entries: number, name = "m") =>
    `struct { __uint(type, BPF_MAP_TYPE_${type}); __uint(key_size, 4); __uint(value_size, 4); __uint(max_entries, ${entries}); } ${name} SEC(".maps");`;
  test.each([
    ["no C", "nonsense", /^does not compile: x\.c:1: unknown type name 'nonsense'/],
    ["no program", headed("int f(void) { return 0; }"), /no function in a section; write SEC\("tc"\)/],
    [
      "two programs",
      headed(`SEC("tc") int f(struct __sk_buff *s) { return 0; } SEC("tc") int g(struct __sk_buff *s) { return 0; }`),
      /more than one program/,
    ],
    ["a static one", headed(`SEC("tc") static int f(struct __sk_buff *s) { return 0; }`), /static/],
    [
      "another kind of argument",
      headed(`SEC("tc") int f(long *s) { return *s; }`),
      /the verifier refuses|does not take/,
    ],
    [
      "never ends",
      program("__u32 n = skb->len;\nfor (;;) {\n  n++;\n  barrier_var(n);\n}"),
      /^the verifier refuses x\.c:(6|7|8): (infinite loop detected|.*back-edge)/,
    ],
    [
      "a loop without bound",
      program("__u32 n = skb->len; while (bpf_get_prandom_u32() != n) {} return 0;"),
      /^the verifier refuses x\.c:5: (infinite loop|BPF program is too large)/,
    ],
    [
      "a million instructions walked",
      // many paths rather than a long program: the verifier would take half a minute to log a long one
      program(
        "__u64 n = 0;\n#pragma unroll\nfor (int i = 0; i < 24; i++)\n if (bpf_get_prandom_u32() == 7) n += 1ULL << i;\nreturn n == 5;",
      ),
      /^the verifier refuses x\.c:\d: BPF program is too large\. Processed 1000001 insn/,
    ],
    [
      "a million instructions long",
      program('asm volatile(".rept 1000000\\n r0 = 0\\n .endr" ::: "r0"); return 0;'),
      /^x\.c has \d{7} instructions, at most 16384|^does not compile: the compiler needs more/,
    ],
    [
      "reads beyond the packet",
      program("__u32 n = skb->len;\nif (n > 7)\n  return *(int *)(long)skb->data;\nreturn n;"),
      /^the verifier refuses x\.c:7: .*invalid access to packet/,
    ],
    ["a redirect", program("return bpf_redirect(1, 0);"), /^x\.c calls bpf_redirect, which programs may not$/],
    ["a clone", program("return bpf_clone_redirect(skb, 1, 0);"), /calls bpf_clone_redirect,/],
    [
      "probe_write_user",
      program("char c = 0; return bpf_probe_write_user((void *)8, &c, 1);"),
      /calls bpf_probe_write_user,/,
    ],
    ["override_return", program("return bpf_override_return((void *)skb, 1);"), /calls bpf_override_return,/],
    [
      "reads the kernel",
      program("char c = 0; bpf_probe_read_kernel(&c, 1, skb); return c;"),
      /calls bpf_probe_read_kernel,/,
    ],
    [
      "a tail call",
      program("bpf_tail_call(skb, &t, 1); return 0;", mapOf("PROG_ARRAY", 1, "t")),
      /calls bpf_tail_call,/,
    ],
    [
      "a tail call by the wrapper's map",
      program("bpf_tail_call(skb, &weir_functions, 1); return 0;", `extern int weir_functions SEC(".maps");`),
      /weir_functions/,
    ],
    ["the wrapper's map by its name", program("return 0;", mapOf("ARRAY", 1, "weir_config")), /weir_config.*Weir's/],
    [
      "a map by its descriptor",
      program(`asm volatile(".byte 0x18, 0x11, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0" ::: "r1"); return 0;`),
      /loads a map or an address by number/,
    ],
    [
      "a long loop by a helper",
      program("bpf_loop(1 << 23, step, 0, 0); return 0;", "static long step(__u32 i, void *c) { return 0; }"),
      /is no map or data|bpf_loop/,
    ],
    [
      "a kernel function",
      program("return k(skb);", "extern int k(struct __sk_buff *s) __ksym;"),
      /section|defined nowhere/,
    ],
    [
      "what is defined nowhere",
      program("return k(skb);", "extern int k(struct __sk_buff *s);"),
      /"k", which is defined nowhere/,
    ],
    [
      "a load that ends the program",
      program(`asm volatile("r6 = %0\\n r0 = *(u8 *)skb[0]" :: "r"(skb) : "r0", "r6"); return 0;`),
      /LD_ABS/,
    ],
    ["a pinned map", program("return seen.type == 0;", pinned), /pins its map "seen"/],
    ["a map of programs", program("return 0;", mapOf("PROG_ARRAY", 4)), /map "m" of type 3/],
    ["a map that is too large", program("return 0;", mapOf("HASH", 1_000_000)), /maps of \d+ KiB, at most 4096 KiB/],
    ["a section for the loader", program("return 0;", `int x SEC("struct_ops");`), /section "struct_ops"/],
    [
      "code elsewhere",
      program("return 0;", section('.section evil,"ax",@progbits\n r0 = 0\n exit\n .text')),
      /section "evil"/,
    ],
    ["the wrapper's name", program("return 0;", "int weir_custom(void) { return 0; }"), /weir_custom/],
    ["a bomb of includes", `#include __FILE__\n`, /x\.c/],
    [
      "a bomb of macros",
      `int n[] = {A9};`.replace(
        /^/,
        `${Array.from({ length: 9 }, (_, n) => `#define A${n + 1} ${`A${n} `.repeat(20)}\n`).join("")}#define A0 1,\n`,
      ),
      /needs more than/,
    ],
  ])("%s", async (_what, text, reason) => {
    const result = await build(text);
    expect(result.ok ? "taken" : result.reason).toMatch(reason);
    expect(readdirSync(join(directory, "cache")).filter((name) => name.startsWith(result.name))).toEqual([]);
  });

  test.each([
    ["#include", () => `#include "${secret}"\n`],
    ["#include, spelled otherwise", () => `%:  inc\\\nlude "${secret}"\n`],
    ["#include by a macro", () => `#define F "${secret}"\n#include F\n`],
    ["#include from the root", () => "#include </proc/self/environ>\n"],
    [
      ".incbin",
      () => program("return s[0];", `extern char s[]; asm(".data\\n.globl s\\ns: .incbin \\"${secret}\\"\\n.text");`),
    ],
    [".include", () => program("return 0;", `asm(".include \\"${secret}\\"");`)],
    ["__has_include", () => `#if __has_include("${secret}")\n#error it is there\n#endif\n#error it is hidden\n`],
    ["the password file", () => '#include "/etc/shadow"\n'],
    ["a device that never ends", () => '#include "/dev/zero"\n'],
    ["standard input", () => '#include "/dev/stdin"\n'],
  ])("a secret is not disclosed by %s", async (what, text) => {
    const result = await build(text());
    const reason = result.ok ? "taken" : result.reason;
    expect(reason).toMatch(
      what === "__has_include" ? /it is hidden/ : /^does not compile: x\.c.*(not found|[Cc]ould not|No such)/,
    );
    expect(reason).not.toContain("hunter2");
  });

  test("a macro can only be a number", async () => {
    for (const value of ["1 -include /etc/shadow", "1;x", "f()", ""]) {
      await expect(build(program("return N;"), { N: value })).rejects.toThrow(/macro "N"/);
    }
    await expect(build(program("return 0;"), { "N -include": "1" })).rejects.toThrow(/macro/);
  });
});

test("checkObject returns a result for arbitrary bytes in a compiled object", async () => {
  const compiler = new Compiler(join(directory, "cache"));
  const source = {
    file: "x.c",
    text: Buffer.from(program("return skb->len > 7;")),
    direction: "egress" as const,
    macros: [],
  };
  const compiled = await compiler.compile(source);
  if (!compiled.ok) throw new Error(compiled.reason);
  const object = compiled.value;
  expect(checkObject(object).ok).toBe(true);
  const change = fc.tuple(fc.nat(object.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), fc.nat(object.length), (changes, length) => {
      const broken = Buffer.from(object);
      for (const [at, value] of changes) broken[at] = value;
      for (const bytes of [broken, broken.subarray(0, length)]) {
        const judged = checkObject(bytes);
        if (!judged.ok) expect(judged.reason).toMatch(/^[\x20-\x7e…]+$/);
      }
    }),
    { numRuns: 500 },
  );
});

test("line numbers from the object's BTF equal those in the kernel's log", async () => {
  const text = Buffer.from(program("__u32 n = skb->len;\nif (n > 7)\n  return *(int *)(long)skb->data;\nreturn n;"));
  const compiler = new Compiler(directory);
  const compiled = await compiler.compile({ file: "x.c", text, direction: "egress", macros: [] });
  if (!compiled.ok) throw new Error(compiled.reason);
  const elf = parseElf(compiled.value);
  const size = (elf.sections.find(({ name }) => name === ".text")?.size ?? 0) / 8;
  const lines = Array.from({ length: size }, (_, index) => lineOfInstruction(elf, ENTRY, index));
  expect(lines[0]).toBe(5);
  expect(lines).toContain(7);
  expect(lines.every((line) => line !== undefined && line >= 5 && line <= 8)).toBe(true);
  const ext = compiled.value.indexOf(
    Buffer.from([0x9f, 0xeb, 1, 0]),
    compiled.value.indexOf(Buffer.from([0x9f, 0xeb, 1, 0])) + 1,
  );
  for (let at = ext; at < ext + 64; at++) {
    const broken = Buffer.from(compiled.value);
    broken[at] = 0xff;
    expect(() => lineOfInstruction(parseElf(broken), ENTRY, 1)).not.toThrow();
  }
});

test("two relocations of one instruction are refused", async () => {
  const map = `struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u64); __uint(max_entries, 1); } seen SEC(".maps");`;
  const text = program("__u32 k = 0; return !bpf_map_lookup_elem(&seen, &k);", map);
  const compiler = new Compiler(join(directory, "cache"));
  const compiled = await compiler.compile({ file: "x.c", text: Buffer.from(text), direction: "egress", macros: [] });
  if (!compiled.ok) throw new Error(compiled.reason);
  const elf = parseElf(compiled.value);
  const code = elf.sections.find(({ name }) => name === ".text")?.index;
  const offset = elf.relocations.find(({ section }) => section === code)?.offset ?? -1;
  const row = Buffer.alloc(12);
  row.writeBigUInt64LE(BigInt(offset), 0);
  row.writeUInt32LE(1, 8); // R_BPF_64_64
  const at = compiled.value.indexOf(row);
  for (const moved of [4, 1 << 20]) {
    const object = Buffer.from(compiled.value);
    object.writeBigUInt64LE(BigInt(offset + moved), at);
    expect(checkObject(object)).toEqual({ ok: false, reason: "has relocations that are not one an instruction" });
  }
});

test("builds leave no process, directory or map except the wrapper's", () => {
  expect(readdirSync(join(directory, "cache")).filter((name) => !/^[0-9a-f]{12}\.bpf\.o$/.test(name))).toEqual([]);
  expect(readdirSync(maps).every((name) => name.startsWith("weir_"))).toBe(true);
  const config = BpfMap.open(join(maps, "weir_config"));
  expect(config.maxEntries).toBe(1);
  config.close();
  const mounts = execFileSync("cat", ["/proc/self/mounts"], { encoding: "utf8" });
  expect(mounts).not.toContain("weir-sandbox");
});
