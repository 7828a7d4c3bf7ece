import type { Argv, CommandModule, InferredOptionTypes, Options } from "yargs";
import { MoesaicError } from "../proto/errors.js";
import type { CommandContext } from "./context.js";

/** 0 done, 1 failed, 2 wrong usage: nothing was run, 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 130;

export type OptionTable = Readonly<Record<string, Options>>;
export type ArgumentsOf<O extends OptionTable> = InferredOptionTypes<O>;

/**
 * A command in two halves: what `parse` throws is wrong usage (exit code 2, nothing has been run); what `run` throws is a
 * failure (exit code 1).
 */
export interface CommandDefinition<O extends OptionTable, P> {
  /** With its positional arguments: `up <file>`. */
  usage: string;
  describe: string;
  positionals?: OptionTable;
  options: O;
  /** Command lines without the program's name, each with what it does. */
  examples: readonly (readonly [string, string])[];
  /** Long-running commands log what happens; the others only what is wrong. */
  logLevel?: "info" | "warn";
  parse(args: ArgumentsOf<O>, positionals: Positionals): P | Promise<P>;
  run(parsed: P, context: CommandContext): Promise<ExitCode>;
}

/** Positional arguments by name; a list for one that ends in `..`. */
export type Positionals = Readonly<Record<string, string | string[]>>;

/** A command with its types forgotten, as main.ts keeps all of them in one list. */
export interface Command {
  name: string;
  /** With its positional arguments. */
  usage: string;
  optionNames: string[];
  /** Of a group. */
  commands: readonly Command[];
  module(execute: Execute): CommandModule;
}

/** Runs the two halves of the chosen command; main.ts knows how. */
export type Execute = (
  args: Record<string, unknown>,
  defaultLogLevel: "info" | "warn",
  parse: () => unknown,
  run: (parsed: unknown, context: CommandContext) => Promise<ExitCode>,
) => Promise<void>;

export function defineCommand<const O extends OptionTable, P>(definition: CommandDefinition<O, P>): Command {
  const { usage, describe, options, positionals = {}, examples } = definition;
  return {
    name: usage.split(" ")[0]!,
    usage,
    optionNames: Object.keys(options),
    commands: [],
    module: (execute) => ({
      command: usage,
      describe,
      builder: (yargs: Argv) => {
        for (const [name, option] of Object.entries(positionals)) yargs.positional(name, { ...option, type: "string" });
        return yargs.options(options).example(examples.map(([line, what]) => [`$0 ${line}`, what]));
      },
      handler: (args) =>
        execute(
          args,
          definition.logLevel ?? "warn",
          () => definition.parse(givenOnce(options, args) as ArgumentsOf<O>, args as Positionals),
          (parsed, context) => definition.run(parsed as P, context),
        ),
    }),
  };
}

/** yargs makes a list of a flag that is given twice; those with a reader of their own find that by themselves. */
function givenOnce(options: OptionTable, args: Record<string, unknown>): Record<string, unknown> {
  const twice = Object.keys(options).find((name) => Array.isArray(args[name]) && options[name]!.coerce === undefined);
  if (twice === undefined) return args;
  throw new MoesaicError("invalid_argument", `--${twice}: expected once, it is given twice`);
}

/** Several commands under one word: `plan explain`, `plan check`. */
export function defineGroup(name: string, describe: string, commands: readonly Command[]): Command {
  return {
    name,
    usage: name,
    optionNames: commands.flatMap((command) => command.optionNames),
    commands,
    module: (execute) => ({
      command: name,
      describe,
      builder: (yargs: Argv) => {
        for (const command of commands) yargs.command(command.module(execute));
        return yargs.demandCommand(1, `${name} needs one of: ${commands.map((command) => command.name).join(", ")}`);
      },
      handler: () => {},
    }),
  };
}
