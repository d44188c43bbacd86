import { constants } from "node:os";

/** Kernel errnos that are not in user space's tables. */
const KERNEL_ONLY: Readonly<Record<number, string>> = { 524: "ENOTSUPP" };

const names = new Map(Object.entries(constants.errno).map(([name, value]) => [value as number, name]));
names.set(constants.errno.EAGAIN, "EAGAIN");
names.set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP");

/** The symbolic name of a positive errno; `E<number>` if it has none. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? KERNEL_ONLY[errno] ?? `E${errno}`;
}

/** The errno name in an error of a Node.js call, or `undefined`. */
export function systemErrno(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

const HINTS: Readonly<Record<string, string>> = {
  EPERM: "needs root, or CAP_BPF and CAP_NET_ADMIN",
  EACCES: "needs root, or CAP_BPF and CAP_NET_ADMIN",
  ENOMEM: "out of kernel memory",
  EMFILE: "too many open files: raise RLIMIT_NOFILE",
};

/** Properties of a `KernelError`. */
export interface KernelErrorDetail {
  /** Stable and machine-readable, kebab-case: `map-full`, `attach-failed`. */
  code: string;
  /** Name of the errno; `undefined` if the kernel was not called. */
  errno?: string | undefined;
  hint?: string | undefined;
  cause?: unknown;
}

/** The kernel or a library refused an operation. The message reads verb, object, cause, hint. */
export class KernelError extends Error {
  readonly code: string;
  readonly errno: string | undefined;
  override name = "KernelError";

  /** @param action verb and object, e.g. `update map weir_hops` */
  constructor(action: string, detail: KernelErrorDetail) {
    const hint = detail.hint ?? (detail.errno ? HINTS[detail.errno] : undefined);
    const why = detail.errno ?? (detail.cause instanceof Error ? detail.cause.message : undefined);
    super(`${action}${why ? `: ${why}` : ""}${hint ? ` (${hint})` : ""}`, {
      cause: detail.cause,
    });
    this.code = detail.code;
    this.errno = detail.errno;
  }
}

const TAIL = 2;
/** Lines with the verifier's statistics, which are never the reason. */
const STATISTICS = /^(processed \d+ insns|verification time|stack depth|-- (BEGIN|END) PROG|max_states_per_insn|\s*$)/;

/** The last lines of a verifier log with the reason, without statistics. */
export function tellingLines(log: string): {
  lines: string[];
  omitted: number;
} {
  const all = log.split("\n");
  const useful = all.filter((line) => !STATISTICS.test(line));
  const lines = useful.slice(-TAIL).map((line) => line.trim());
  return { lines, omitted: useful.length - lines.length };
}

/** The verifier refused a program. `log` is the whole log; the message has the lines with the reason. */
export class VerifierError extends KernelError {
  readonly log: string;
  override name = "VerifierError";

  constructor(action: string, errno: string, log: string) {
    const { lines, omitted } = tellingLines(log);
    const rest = omitted > 0 ? ` (${omitted} line(s) omitted)` : "";
    super(`${action}: ${errno}: ${lines.join("; ")}${rest}`, {
      code: "verifier-refused",
    });
    Object.defineProperty(this, "errno", { value: errno, enumerable: true });
    this.log = log;
  }
}

/** Returns `result`, or throws a `KernelError` if it is negative (libbpf returns −errno). */
export function check(result: number, action: string, code: string, hint?: string): number {
  if (result >= 0) return result;
  throw new KernelError(action, { code, errno: errnoName(-result), hint });
}
