import { readFileSync } from "node:fs";
import { errnoName, KernelError } from "./errors.ts";
import { bpf, type Pointer } from "./ffi.ts";
import { firstWarning, withLibbpfLog } from "./log.ts";

/**
 * Links compiled objects into one, like `bpftool gen object`: a function replaces a weak one of the same name. Writes
 * `output`. @throws KernelError `link-failed`
 */
export function linkObjects(output: string, inputs: readonly string[]): void {
  for (const input of inputs) {
    if (isObject(input)) continue;
    throw new KernelError(`link ${output}`, { code: "link-failed", hint: `${input} is no object of 64 bits` });
  }
  const { result, log } = withLibbpfLog(() => link(output, inputs));
  if (result === 0) return;
  throw new KernelError(`link ${output}`, { code: "link-failed", errno: errnoName(-result), hint: firstWarning(log) });
}

/** The linker would end the process over a file that is no object. */
function isObject(path: string): boolean {
  const file = readFileSync(path);
  const isElf = file.length >= ELF_HEADER && file.readUInt32BE(0) === 0x7f454c46;
  return isElf && file[4] === 2 && (file[5] === 1 || file[5] === 2);
}

const ELF_HEADER = 64;

function link(output: string, inputs: readonly string[]): number {
  const linker = bpf.bpf_linker__new(output, null) as Pointer | null;
  if (linker === null) return -5; // EIO
  try {
    for (const input of inputs) {
      const error = bpf.bpf_linker__add_file(linker, input, null) as number;
      if (error !== 0) return error;
    }
    return bpf.bpf_linker__finalize(linker) as number;
  } finally {
    bpf.bpf_linker__free(linker);
  }
}
