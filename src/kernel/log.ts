import koffi from "koffi";
import { bpf, lazy, libc, PrintFn } from "./ffi.ts";

const DEBUG = 2;
/** Covers va_list on every Linux ABI (24 bytes on x86-64, 32 on arm64). */
const VA_LIST = 32;
const PAGE = 4096;

let captured: string[] | undefined;

/** vsnprintf consumes its va_list, so each attempt gets a copy. */
function format(text: unknown, args: unknown): string {
  const copy = () => Buffer.from(koffi.decode(args, "uint8_t", VA_LIST) as Uint8Array);
  let buffer = Buffer.alloc(PAGE);
  const length = libc.vsnprintf(buffer, buffer.length, text, copy()) as number;
  if (length >= buffer.length) {
    buffer = Buffer.alloc(length + 1);
    libc.vsnprintf(buffer, buffer.length, text, copy());
  }
  return buffer.toString("utf8", 0, Math.max(0, length));
}

const install = lazy(() => {
  const callback = koffi.register((level: number, text: unknown, args: unknown) => {
    if (level < DEBUG && captured) captured.push(format(text, args));
    return 0;
  }, koffi.pointer(PrintFn));
  bpf.libbpf_set_print(callback);
});

/** Silences libbpf: its output is kept for error messages and not written to stderr. */
export function quietLibbpf(): void {
  install();
}

/** Calls `fn`. Returns its result and libbpf's output (warnings and verifier logs). */
export function withLibbpfLog<T>(fn: () => T): { result: T; log: string } {
  install();
  const outer = captured;
  captured = [];
  try {
    const result = fn();
    return { result, log: captured.join("") };
  } finally {
    captured = outer;
  }
}

/** The verifier log in libbpf's output; `undefined` if there is none. */
export function verifierLog(log: string): string | undefined {
  const begin = log.lastIndexOf("-- BEGIN PROG LOAD LOG --");
  if (begin < 0) return undefined;
  const start = log.indexOf("\n", begin) + 1;
  const end = log.indexOf("-- END PROG LOAD LOG --", start);
  return log.slice(start, end < 0 ? undefined : end);
}

/** libbpf's first warning, without prefix. It is the one nearest to the cause. */
export function firstWarning(log: string): string | undefined {
  const line = log.split("\n").find((text) => text.startsWith("libbpf: "));
  return line?.replace(/^libbpf: /, "").trim();
}
