import { type Logger, pino, stdTimeFunctions } from "pino";

export type { Logger } from "pino";

/** One line of JSON per state change, on standard error. Synchronous: what was logged before a crash is there. */
export function createLogger(level: string, node: string): Logger {
  const base = { node };
  return pino({ level, base, timestamp: stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
