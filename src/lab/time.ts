/** The longest delay of a Node.js timer, ms: a longer one would fire at once. */
export const LONGEST = 2 ** 31 - 1;

/** Waits `ms`, of any length, or until `signal` is aborted. Never rejects. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  for (let left = ms; left > 0 && !signal.aborted; left -= LONGEST) await wait(Math.min(left, LONGEST), signal);
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/** Runs `task` with a signal that is aborted after `ms` (24 days at most), or when `signal` is. */
export async function limited<T>(
  ms: number,
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  const end = (): void => own.abort();
  const timer = setTimeout(end, Math.min(ms, LONGEST));
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  try {
    return await task(own.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}
