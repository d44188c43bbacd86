import { KernelError } from "../kernel/index.ts";
import type { Outcome, OutcomeCode } from "../model/outcomes.ts";

/** The reason why an item cannot be in force, with a stable code. */
export class Fault extends Error {
  override name = "Fault";
  readonly code: OutcomeCode;

  constructor(code: OutcomeCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const CODES: Readonly<Record<string, OutcomeCode>> = {
  "map-full": "full",
  "codec-value": "encode",
  "device-missing": "no-device",
};

const codeOf = (error: unknown): OutcomeCode => {
  if (error instanceof Fault) return error.code;
  return (error instanceof KernelError && CODES[error.code]) || "kernel";
};

/** The outcome of an error, for the owner of the item that it is about. */
export function outcomeOf(owner: string, error: unknown): Outcome {
  return { owner, code: codeOf(error), message: (error as Error).message, severity: "error" };
}
