import { type Logger, pino, stdTimeFunctions } from "pino";

export type { Logger } from "pino";

/** Logs one line of JSON per state change to standard error. Synchronous, so that lines before a crash are not lost. */
export function createLogger(level: string, node: string): Logger {
  const base = { node };
  return pino({ level, base, timestamp: stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
