import { KernelError } from "../kernel/index.ts";
import type { Outcome, OutcomeCode } from "../model/outcomes.ts";

/** Why one item cannot be in force. */
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

/** What an error means to the owner of the item that it is about. */
export function outcomeOf(owner: string, error: unknown): Outcome {
  return { owner, code: codeOf(error), message: (error as Error).message, severity: "error" };
}
