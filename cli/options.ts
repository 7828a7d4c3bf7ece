import { MoesaicError } from "../proto/errors.js";

/** As yargs reads an option: a list when it is given twice. */
type Given = string | readonly string[];

/** Options of commands. Values are checked as they are read, so that a bad one is wrong usage and nothing runs. */

export function wholeNumber(name: string, describe: string, min: number, max: number) {
  const coerce = (text: Given): number => {
    const value = Number(text);
    if (/^-?\d+$/.test(String(text)) && value >= min && value <= max) return value;
    throw usage(name, `a whole number from ${min} to ${max}`, text);
  };
  return { describe, type: "string", requiresArg: true, coerce: optional(coerce) } as const;
}

/** `1,8,64`; at least one. */
export function wholeNumbers(name: string, describe: string, min: number, max: number) {
  const coerce = (list: Given): number[] => {
    const values = String(list).split(",").map(Number);
    const isWell = /^\d{1,10}( *, *\d{1,10})*$/.test(String(list).trim());
    if (isWell && values.every((value) => value >= min && value <= max)) return values;
    throw usage(name, `whole numbers from ${min} to ${max} such as ${min},${Math.min(max, 8 * min)}`, list);
  };
  return { describe, type: "string", requiresArg: true, coerce: optional(coerce) } as const;
}

export function decimal(name: string, describe: string) {
  const coerce = (text: Given): number => {
    if (/^-?\d+(\.\d+)?(e-?\d+)?$/i.test(String(text))) return Number(text);
    throw usage(name, "a number", text);
  };
  return { describe, type: "string", requiresArg: true, coerce: optional(coerce) } as const;
}

/** Above 0. */
export function positive(name: string, describe: string) {
  const coerce = (text: Given): number => {
    const value = Number(text);
    if (/^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(String(text)) && value > 0 && Number.isFinite(value)) return value;
    throw usage(name, "a number above 0", text);
  };
  return { describe, type: "string", requiresArg: true, coerce: optional(coerce) } as const;
}

/** `0.5,1,inf`; at least one, each above 0. */
export function positives(name: string, describe: string) {
  const coerce = (list: Given): number[] => {
    const values = String(list)
      .split(",")
      .map((part) => part.trim());
    const isWell = values.every((value) => value === "inf" || (/^\d+(\.\d+)?$/.test(value) && Number(value) > 0));
    if (isWell) return values.map((value) => (value === "inf" ? Infinity : Number(value)));
    throw usage(name, "numbers above 0, or inf, such as 0.5,1,2", list);
  };
  return { describe, type: "string", requiresArg: true, coerce: optional(coerce) } as const;
}

export function text(describe: string) {
  return { describe, type: "string", requiresArg: true } as const;
}

/** One text, or several by giving the flag several times. */
export function texts(name: string, describe: string) {
  const coerce = (list: Given): readonly string[] => {
    const given = typeof list === "string" ? [list] : list;
    if (given.every((one) => one !== "")) return given;
    throw usage(name, "a text that is not empty", list);
  };
  return { describe, type: "string", requiresArg: true, coerce: optional(coerce) } as const;
}

export function flag(describe: string) {
  return { describe, type: "boolean", default: false } as const;
}

/** `1,2,3`; at least one. */
export function tokenIds(name: string, describe: string) {
  const coerce = (list: Given): number[] => {
    if (/^\d{1,10}( *, *\d{1,10})*$/.test(String(list).trim())) return String(list).split(",").map(Number);
    throw usage(name, "token ids such as 1,2,3", list);
  };
  return { describe, type: "string", requiresArg: true, coerce: optional(coerce) } as const;
}

export const ENDPOINT_OPTION = {
  endpoint: text("address HOST:PORT of a running cluster's gRPC API"),
  tenant: text(
    "on whose account it runs there, and with whom it shares cached prefixes (default: everybody's who names none)",
  ),
} as const;

export const JSON_OPTION = { json: flag("print JSON lines on standard output") } as const;

export const DEFAULT_ENDPOINT = "127.0.0.1:50051";

/** What was wrong on the command line. The flag is in the message, since yargs passes nothing else on. */
function usage(name: string, wanted: string, got: Given): MoesaicError {
  const given = String(got);
  const shown = given.length > 80 ? `${given.slice(0, 80)}…` : given;
  return new MoesaicError("invalid_argument", `--${name}: expected ${wanted}, got ${shown}`);
}

/** yargs asks for absent options too. */
function optional<T>(coerce: (value: Given) => T): (value: Given | undefined) => T | undefined {
  return (value) => (value === undefined ? undefined : coerce(value));
}
