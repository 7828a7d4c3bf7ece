#!/usr/bin/env node
import { setMaxListeners } from "node:events";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { MoesaicError } from "../proto/errors.js";
import { createLogger } from "../proto/log.js";
import { benchCommand } from "./bench.js";
import { buildCommand } from "./build.js";
import { chatCommand } from "./chat.js";
import { completionCommand } from "./completion.js";
import type { Command, Execute, ExitCode } from "./command.js";
import { LOG_LEVELS, packageVersion, type CommandContext, type LogLevel } from "./context.js";
import { doctorCommand } from "./doctor.js";
import { drainCommand } from "./drain.js";
import { generateCommand } from "./generate.js";
import { jobsCommand } from "./jobs.js";
import { kernelsCommand } from "./kernels.js";
import { logitsCommand } from "./logits.js";
import { Output } from "./output.js";
import { planCommand } from "./plan.js";
import { simCommand } from "./sim.js";
import { statusCommand } from "./status.js";
import { upCommand } from "./up.js";
import { usageError } from "./usage-error.js";
import { workerCommand } from "./worker.js";

/** The composition root: the only place that reads the command line and the environment. */
const COMMANDS: readonly Command[] = [
  upCommand,
  workerCommand,
  statusCommand,
  drainCommand,
  generateCommand,
  chatCommand,
  jobsCommand,
  logitsCommand,
  planCommand,
  kernelsCommand,
  simCommand,
  benchCommand,
  buildCommand,
  completionCommand,
  doctorCommand,
];

const argv = hideBin(process.argv);
const out = new Output(process.stdout);
const interruption = new AbortController();
// Every request in flight listens to it.
setMaxListeners(0, interruption.signal);
process.exitCode = await main();

async function main(): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const execute: Execute = async (args, defaultLogLevel, parse, run) => {
    let parsed: unknown;
    let context: CommandContext;
    try {
      context = createContext(args, defaultLogLevel);
      parsed = await parse();
    } catch (caught) {
      exitCode = await report(caught, 2);
      return;
    }
    try {
      exitCode = await run(parsed, context);
    } catch (caught) {
      exitCode = await failed(caught);
    }
  };
  try {
    await parser(execute).parseAsync();
  } catch (caught) {
    return report(caught, 2);
  }
  return exitCode;
}

function parser(execute: Execute) {
  const program = yargs(argv)
    .scriptName("moesaic")
    .usage("$0 <command>\n\nTurns a set of machines into one gpt-oss endpoint.")
    .parserConfiguration({ "parse-numbers": false })
    .option("log-level", {
      choices: LOG_LEVELS,
      describe: "least level of log lines on standard error; also MOESAIC_LOG_LEVEL",
      requiresArg: true,
    })
    .demandCommand(1, "expected a command; see moesaic --help")
    .strict()
    .version(packageVersion())
    .alias("help", "h")
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw usageError(error?.message ?? message ?? "wrong usage", argv, COMMANDS);
    });
  for (const command of COMMANDS) program.command(command.module(execute));
  return program;
}

function createContext(args: Record<string, unknown>, defaultLogLevel: LogLevel): CommandContext {
  const logLevel = chooseLogLevel(args["log-level"] as string | undefined, defaultLogLevel);
  out.onClosed = () => interruption.abort();
  listenForSignals();
  return {
    out,
    json: args["json"] === true,
    stderr: process.stderr,
    stdin: process.stdin,
    log: createLogger({ level: logLevel }),
    logLevel,
    signal: interruption.signal,
    env: process.env,
  };
}

function chooseLogLevel(option: string | undefined, defaultLogLevel: LogLevel): LogLevel {
  const wanted = option ?? process.env["MOESAIC_LOG_LEVEL"] ?? defaultLogLevel;
  const level = LOG_LEVELS.find((candidate) => candidate === wanted);
  if (level !== undefined) return level;
  const message = `expected one of ${LOG_LEVELS.join(", ")}, got ${wanted}`;
  throw new MoesaicError("invalid_argument", message, { place: "MOESAIC_LOG_LEVEL" });
}

/** The first signal lets the command clean up; the second ends the process, and workers leave with it. */
function listenForSignals(): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (interruption.signal.aborted) process.exit(130);
      interruption.abort(name);
    });
  }
}

function failed(caught: unknown): Promise<ExitCode> | ExitCode {
  const { signal } = interruption;
  const isOurs = signal.aborted && MoesaicError.from(caught).code === "cancelled";
  if (!isOurs) return report(caught, 1);
  return typeof signal.reason === "string" ? 130 : 0;
}

async function report(caught: unknown, exitCode: ExitCode): Promise<ExitCode> {
  const error = MoesaicError.from(caught);
  process.stderr.write(`moesaic: ${error.describe()}\n`);
  if (error.code === "internal" && error.stack !== undefined) process.stderr.write(`${error.stack}\n`);
  if (argv.includes("--json")) {
    await out.json({ error: { code: error.code, message: error.message, place: error.place ?? null } });
  }
  return exitCode;
}
