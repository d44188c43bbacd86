/** What the API server answers instead of a success: a `Status` of Kubernetes, or whatever else had a status code. */
export class ApiStatusError extends Error {
  /** HTTP status, e.g. 404. */
  readonly status: number;
  /** Kubernetes' reason, e.g. `NotFound`; empty if the answer was no Status. */
  readonly reason: string;
  /** How long the server asks to be left alone, ms. */
  readonly retryAfter: number | undefined;
  /** Fields that were refused, with the server's words. */
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

/** There was no answer, or it broke off. `code` is Node's (`ECONNRESET`, …), `ETIMEDOUT`, or `EPROTO` for nonsense. */
export class ConnectionError extends Error {
  readonly code: string;

  constructor(what: string, code: string, hint: string, cause?: unknown) {
    super(`${what}: ${code} (${hint})`, { cause });
    this.name = "ConnectionError";
    this.code = code;
  }
}

/** Longest wait that a server can ask for, seconds. */
const LONGEST_WAIT = 300;

/** `Retry-After` in seconds, or details.retryAfterSeconds; as ms. A date is not used by Kubernetes. */
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

/** A server repeats what authors of objects wrote: one line of at most 300 printable characters gets out. */
function printable(text: string): string {
  const safe = text.replace(/[^\x20-\x7e]/g, "?");
  return safe.length > 300 ? `${safe.slice(0, 300)}...` : safe;
}
