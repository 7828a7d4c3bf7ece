import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import type { Output } from "./output.js";

/** What main.ts gives to a command: the process's outside, so that no command reaches for it. */
export interface CommandContext {
  out: Output;
  /** Whether results are JSON lines. */
  json: boolean;
  /** For people, on standard error: progress and questions. */
  stderr: NodeJS.WriteStream;
  stdin: NodeJS.ReadStream;
  log: Logger;
  logLevel: LogLevel;
  /** Aborted by the first SIGINT or SIGTERM, and when standard output was closed. */
  signal: AbortSignal;
  env: NodeJS.ProcessEnv;
}

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** This program's file, to start workers with. */
export const MAIN_FILE = fileURLToPath(new URL("./main.js", import.meta.url));

/** The version in package.json, beside the folder that the compiled files are in. */
export function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}

/** @throws MoesaicError cancelled; main.ts then ends with the exit code of an interruption */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new MoesaicError("cancelled", "interrupted");
}
