import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { linkObjects } from "./linker.ts";
import { inspectDefinitions } from "./object.ts";
import { scratch } from "./testdata/harness.ts";

const directory = scratch();

function compiled(name: string, text: string): string {
  const source = join(directory, `${name}.c`);
  const head = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n";
  writeFileSync(source, head + text);
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  execFileSync("clang", ["--target=bpf", "-O2", "-g", include, "-c", source, "-o", `${source}.o`]);
  return `${source}.o`;
}

const WEAK =
  '__weak __noinline int part(struct __sk_buff *skb) { return skb->len; }\nSEC("tc") int whole(struct __sk_buff *skb) { return part(skb); }';
const MAP =
  'struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u64); __uint(max_entries, 3); } seen SEC(".maps");';
const PART = `${MAP}\nint part(struct __sk_buff *skb) { __u32 k = 0; return !bpf_map_lookup_elem(&seen, &k); }`;

test("a function replaces a weak one, and its maps are included", () => {
  const output = join(directory, "linked.o");
  linkObjects(output, [compiled("whole", WEAK), compiled("part", PART)]);
  const { programs, maps } = inspectDefinitions(output);
  expect(programs).toEqual(["whole"]);
  expect(maps).toEqual([
    { name: "seen", type: 2, keySize: 4, valueSize: 8, maxEntries: 3, flags: 0, isInternal: false, pinPath: undefined },
  ]);
});

test("two functions with the same name are refused with the linker's message", () => {
  const part = compiled("part", PART);
  const link = () => linkObjects(join(directory, "twice.o"), [part, part]);
  expect(link).toThrow(/^link .*twice\.o: E\w+ \(.*\)/);
});

test("a file that is no object is refused", () => {
  writeFileSync(join(directory, "text.o"), "text");
  expect(() => linkObjects(join(directory, "none.o"), [join(directory, "text.o")])).toThrow(
    /^link .*none\.o \(.*text\.o is no object/,
  );
  expect(() => linkObjects("/no/such/folder/x.o", [])).toThrow(/^link \/no\/such\/folder\/x\.o: E/);
});
