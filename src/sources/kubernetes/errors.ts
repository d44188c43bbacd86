/** The API server's refusal: a Kubernetes `Status`, or any other answer with an error status. */
export class ApiStatusError extends Error {
  /** HTTP status, e.g. 404. */
  readonly status: number;
  /** Kubernetes' reason, e.g. `NotFound`; empty if the answer was no Status. */
  readonly reason: string;
  /** Delay that the server asks for before a retry, ms. */
  readonly retryAfter: number | undefined;
  /** Refused fields, with the server's messages. */
  readonly causes: readonly { field: string; message: string }[];

  constructor(what: string, status: number, body: unknown, retryAfter?: number) {
    const { reason, message, details } = (isRecord(body) ? body : {}) as Record<string, unknown>;
    const word = typeof reason === "string" ? printable(reason) : "";
    const text = typeof message === "string" ? printable(message) : "";
    super(`${what}: ${[status, word].filter(Boolean).join(" ")}${text && `: ${text}`}`);
    this.name = "ApiStatusError";
    this.status = status;
    this.reason = word;
    this.retryAfter = retryAfter ?? secondsOf(isRecord(details) ? details["retryAfterSeconds"] : undefined);
    this.causes = causesOf(isRecord(details) ? details["causes"] : undefined);
  }
}

/**
 * There was no answer, or it was cut off. `code` is Node.js's (`ECONNRESET`, …), `ETIMEDOUT`, or `EPROTO` for an
 * invalid answer.
 */
export class ConnectionError extends Error {
  readonly code: string;

  constructor(what: string, code: string, hint: string, cause?: unknown) {
    super(`${what}: ${code} (${hint})`, { cause });
    this.name = "ConnectionError";
    this.code = code;
  }
}

/** The longest delay that a server can ask for, seconds. */
const LONGEST_WAIT = 300;

/** Converts `Retry-After` or details.retryAfterSeconds, in seconds, to ms. Kubernetes does not send dates. */
export function secondsOf(value: unknown): number | undefined {
  const seconds = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (typeof seconds !== "number" || !(seconds > 0)) return undefined;
  return Math.min(seconds, LONGEST_WAIT) * 1000;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function causesOf(value: unknown): { field: string; message: string }[] {
  return (Array.isArray(value) ? value : []).filter(isRecord).map(({ field, message }) => ({
    field: printable(String(field ?? "")),
    message: printable(String(message ?? "")),
  }));
}

/**
 * A server's message may contain text from objects' authors: it is reduced to one line of at most 300 printable
 * characters.
 */
function printable(text: string): string {
  const safe = text.replace(/[^\x20-\x7e]/g, "?");
  return safe.length > 300 ? `${safe.slice(0, 300)}...` : safe;
}
