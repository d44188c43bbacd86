/**
 * Removes what a test creates in the kernel, in reverse order, continuing after failures: by `dispose()`, or
 * when the process ends, as after a constructor that failed. Vitest ends its processes by SIGTERM.
 */
export function leftovers(): DisposableStack {
  const stack = new DisposableStack();
  const end = (): void => stack.dispose();
  const quit = (): never => process.exit(143);
  process.once("exit", end);
  process.once("SIGTERM", quit);
  stack.defer(() => process.off("exit", end).off("SIGTERM", quit));
  return stack;
}
