/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {
  readonly code = "usage";
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** A command has failed, or found a problem and reported it. Exit code 1. */
export class Failure extends Error {
  readonly code = "failed";
  constructor(message: string) {
    super(message);
    this.name = "Failure";
  }
}

/** The error in one line: the message and, unless it contains it, the hint. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { hint } = error as { hint?: unknown };
  return typeof hint === "string" && !error.message.includes(hint) ? `${error.message} (${hint})` : error.message;
}
