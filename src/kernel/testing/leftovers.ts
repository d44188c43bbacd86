/**
 * What a test makes in the kernel, each with what takes it away, in reverse order and whatever of it fails: by `dispose()`, or
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
