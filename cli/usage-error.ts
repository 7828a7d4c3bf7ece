import { suggestion } from "../plans/nearest-name.js";
import { MoesaicError } from "../proto/errors.js";
import type { Command } from "./command.js";

/** What yargs says of a wrong command line, in our words: what was expected, what was there, and where to read on. */
export function usageError(said: string, argv: readonly string[], commands: readonly Command[]): MoesaicError {
  const path = commandPath(argv, commands);
  const help = `; see ${["moesaic", ...path.map(({ name }) => name), "--help"].join(" ")}`;
  return new MoesaicError("invalid_argument", messageOf(said, path, commands, help));
}

/** The command that was named, and its subcommand. */
function commandPath(argv: readonly string[], commands: readonly Command[]): Command[] {
  const command = commands.find(({ name }) => name === argv[0]);
  if (command === undefined) return [];
  return [command, ...commandPath(argv.slice(1), command.commands)];
}

function messageOf(said: string, path: readonly Command[], commands: readonly Command[], help: string): string {
  const unknown = /^Unknown (arguments?|commands?): (.+)$/.exec(said);
  if (unknown !== null) return `${unknownText(unknown[1]!, unknown[2]!, path, commands)}${help}`;
  const missing = /^Missing required arguments?: (.+)$/.exec(said)?.[1];
  if (missing !== undefined) return `expected ${optionText(missing)}, which is missing${help}`;
  if (said.startsWith("Not enough non-option arguments")) {
    const usage = path.at(-1)?.usage ?? "";
    return `expected ${usage.slice(usage.indexOf(" ") + 1)}, which is missing${help}`;
  }
  const invalid = /^Invalid values:\s+Argument: ([^,]+), Given: (.*), Choices: (.*)$/s.exec(said);
  if (invalid !== null) {
    const [, name, given, choices] = invalid;
    const place = path.at(-1)?.usage.includes(`<${name}>`) === true ? `<${name}>` : `--${name}`;
    return `${place}: expected one of ${choices!.replaceAll('"', "")}, got ${given!.replaceAll('"', "")}`;
  }
  return said;
}

function optionText(names: string): string {
  return names
    .split(", ")
    .map((name) => `--${name}`)
    .join(" and ");
}

/** yargs names what it does not know; we add what may have been meant. */
function unknownText(what: string, names: string, path: readonly Command[], commands: readonly Command[]): string {
  const optionNames = path.at(-1)?.optionNames ?? commands.map(({ name }) => name);
  // yargs tells of link-gbit as linkGbit too.
  const given = names.split(", ");
  const shown = given
    .filter((name) => !given.some((other) => other !== name && camelCased(other) === name))
    .map(
      (name) =>
        `${name}${suggestion(
          name,
          optionNames.filter((known) => known !== name),
        )}`,
    );
  return `Unknown ${what}: ${shown.join(", ")}`;
}

function camelCased(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
