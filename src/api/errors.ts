/** Errors of the API: one class, one shape. No imports: the client uses it too. */

const statusOf = {
  invalid: 400,
  missing: 404,
  exists: 409,
  refused: 422,
  internal: 500,
  unavailable: 503,
} as const;

/**
 * - `invalid`: the request is wrong; `path` names the field
 * - `missing`: no such thing
 * - `exists`: something else has that name
 * - `refused`: the kernel said no; the message holds its telling line
 * - `unavailable`: not now: the agent is starting, or addresses or the disk are full; try again
 * - `internal`: a defect of Weir
 */
export type ErrorCode = keyof typeof statusOf;

export interface ErrorDetails {
  /** Field that is wrong, e.g. `netns`. */
  path?: string | undefined;
  /** What the user can do. */
  hint?: string | undefined;
  cause?: unknown;
}

/** What a Backend throws to answer with a code other than 500. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly path: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.name = "ApiError";
    this.code = code;
    this.path = details.path;
    this.hint = details.hint;
  }

  /** HTTP status of the code. */
  get status(): number {
    return statusOf[this.code];
  }

  /** The body of the answer. */
  toJSON(): { error: { code: ErrorCode; message: string; path?: string; hint?: string } } {
    const { code, message, path, hint } = this;
    return { error: { code, message, ...(path !== undefined && { path }), ...(hint !== undefined && { hint }) } };
  }
}
