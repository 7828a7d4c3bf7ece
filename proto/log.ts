import { pino } from "pino";

/**
 * One event, one line, past tense, facts as fields. debug: per step; info: life-cycle change; warn: we coped;
 * error: a request or rank was lost. Prompts and outputs never go into logs.
 */
export type Logger = pino.Logger;

export interface LogOptions {
  level: "debug" | "info" | "warn" | "error" | "silent";
  /** Fields on every line, such as `{ process: "worker", rank: 0 }`. */
  fields?: Record<string, unknown>;
}

/** The root logger of a process: JSON lines on standard error, since standard output belongs to results. */
export function createLogger(options: LogOptions): Logger {
  return pino(
    {
      level: options.level,
      base: options.fields ?? {},
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** A logger that says nothing, for tests. */
export const silentLogger: Logger = pino({ level: "silent" });
