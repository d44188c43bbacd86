import type { IncomingMessage } from "node:http";
import { ConnectionError } from "./errors.ts";

/**
 * The largest answer and the longest line of a stream, characters. etcd keeps objects below 1.5 MiB; a page has up to
 * 500.
 */
const LARGEST = 256 * 1024 * 1024;
const LONGEST_LINE = 16 * 1024 * 1024;

interface ReadOptions {
  /** For messages. */
  what: string;
  signal?: AbortSignal | undefined;
}

/** The whole body as text, within `timeout` ms. */
export async function readBody(
  response: IncomingMessage,
  { what, timeout, signal }: ReadOptions & { timeout: number },
): Promise<string> {
  const chunks: string[] = [];
  let size = 0;
  const guard = guarded(response, what, timeout, signal);
  try {
    for await (const chunk of guard.chunks) {
      size += chunk.length;
      if (size > LARGEST) throw new ConnectionError(what, "EMSGSIZE", `the answer is longer than ${LARGEST}`);
      chunks.push(chunk);
    }
  } finally {
    guard.end();
  }
  return chunks.join("");
}

/**
 * JSON values, one per line. Throws ConnectionError if the stream breaks, ends within a line, is invalid, or is silent
 * for `silence` ms; the signal's reason if aborted. Always closes the connection.
 */
export async function* jsonLines(
  response: IncomingMessage,
  { what, silence, signal }: ReadOptions & { silence: number },
): AsyncGenerator<unknown> {
  const guard = guarded(response, what, silence, signal);
  let rest = "";
  try {
    for await (const chunk of guard.chunks) {
      guard.alive();
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LONGEST_LINE)
        throw new ConnectionError(what, "EMSGSIZE", `a line is longer than ${LONGEST_LINE}`);
      for (const line of lines) if (line.trim() !== "") yield parseLine(line, what);
    }
    if (rest.trim() !== "") throw new ConnectionError(what, "ECONNRESET", "the stream ended within a line");
  } finally {
    guard.end();
    response.destroy();
  }
}

function parseLine(line: string, what: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new ConnectionError(what, "EPROTO", "a line of the stream is not JSON", error);
  }
}

/** The chunks of a body, with a timeout. `alive()` restarts the timeout; `end()` stops it. */
function guarded(response: IncomingMessage, what: string, time: number, signal: AbortSignal | undefined) {
  response.setEncoding("utf8");
  const late = new ConnectionError(what, "ETIMEDOUT", `nothing more came within ${Math.round(time)} ms`);
  const timer = setTimeout(() => response.destroy(late), Math.max(0, time));
  const abort = (): void => void response.destroy();
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  async function* chunks(): AsyncGenerator<string> {
    try {
      for await (const chunk of response) yield chunk as string;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error === late) throw late;
      const { code = "ECONNRESET", message } = error as NodeJS.ErrnoException;
      throw new ConnectionError(what, code, message, error);
    }
    if (signal?.aborted) throw signal.reason;
  }
  const end = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  };
  return { chunks: chunks(), alive: () => void timer.refresh(), end };
}
