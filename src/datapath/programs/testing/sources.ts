import { execFileSync } from "node:child_process";
import { join } from "node:path";

const root = new URL("../../../..", import.meta.url).pathname;

/** Compiles the wrapper into `directory`. Returns the object's path. */
export function compileWrapper(directory: string): string {
  const out = join(directory, "custom.bpf.o");
  const flags = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Ibpf"];
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  execFileSync("clang", [...flags, include, "-c", "src/functions/custom/custom.bpf.c", "-o", out], { cwd: root });
  return out;
}

/** C source with the headers that every program needs. */
export const headed = (text: string): string =>
  `#include <linux/bpf.h>\n#include <linux/pkt_cls.h>\n#include <bpf/bpf_helpers.h>\n${text}\n`;

/** A complete program with this body. */
export const program = (body: string, before = ""): string =>
  headed(`${before}\nSEC("tc") int f(struct __sk_buff *skb) { ${body} }\nchar _license[] SEC("license") = "GPL";`);
