/** Where text goes. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
}

/** The parts of the process that a command may use; tests inject their own. */
export interface Io {
  stdout: Output;
  stderr: Output;
  stdin: AsyncIterable<Uint8Array | string>;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** Folder of sockets and labs: `/run/weir`. */
  runDir: string;
  /** Aborted by the first Ctrl+C, SIGTERM or SIGHUP. */
  signal: AbortSignal;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  /** Milliseconds since the epoch. */
  wall(): number;
  /** Resolves after `ms` milliseconds, or when the signal is aborted. */
  sleep(ms: number): Promise<void>;
}

export function systemIo(signal: AbortSignal): Io {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    // only opened when it is read: some commands pass it to a pod
    stdin: { [Symbol.asyncIterator]: () => process.stdin[Symbol.asyncIterator]() },
    env: process.env,
    cwd: process.cwd(),
    runDir: "/run/weir",
    signal,
    now: () => performance.now(),
    wall: () => Date.now(),
    sleep: (ms) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const done = (): void => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1)); // longer timeouts would fire immediately
        signal.addEventListener("abort", done);
      }),
  };
}

/** Colours on a terminal, unless NO_COLOR asks for none (no-color.org). */
export function wantsColour(io: Io): boolean {
  return io.stdout.isTTY === true && !io.env["NO_COLOR"] && io.env["TERM"] !== "dumb";
}
