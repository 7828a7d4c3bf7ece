import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import type { v1 } from "../../../proto/messages.js";
import { boundedArray } from "./request-body.js";
import { functionFields, functionName, MAX_TOOLS } from "./request-fields.js";

const functionSchema = z.object(functionFields);
export type FunctionDefinition = z.infer<typeof functionSchema>;

/** What a choice of tools says, whichever endpoint's words it was in. */
export type ToolChoice =
  | { mode: "none" | "auto" | "required" }
  | { mode: "named"; name: string }
  | { mode: "allowed"; isRequired: boolean; names: string[] };

const modes = z.enum(["none", "auto", "required"]);

/** Chat completions wrap names in `function`, responses do not. */
export const chatToolChoice = choiceSchema(
  z.looseObject({ function: z.object({ name: functionName }) }).transform(({ function: { name } }) => name),
);
export const responsesToolChoice = choiceSchema(z.looseObject({ name: functionName }).transform(({ name }) => name));

function choiceSchema(name: z.ZodType<string>): z.ZodOptional<z.ZodNullable<z.ZodType<ToolChoice>>> {
  const named = ofType("function").pipe(name);
  const listed = z.looseObject({ mode: z.enum(["auto", "required"]), tools: boundedArray(named, 1, MAX_TOOLS) });
  const wrapped = z.object({ allowed_tools: listed }).transform(({ allowed_tools: list }) => list);
  const allowed = ofType("allowed_tools").pipe(z.union([wrapped, listed]) as z.ZodType<z.infer<typeof listed>>);
  const choices = [
    modes.transform((mode): ToolChoice => ({ mode })),
    named.transform((only): ToolChoice => ({ mode: "named", name: only })),
    allowed.transform(({ mode, tools }): ToolChoice => ({
      mode: "allowed",
      isRequired: mode === "required",
      names: tools,
    })),
  ] as const;
  return z
    .union(choices, { error: "expected none, auto, required, a function or allowed tools" })
    .nullable()
    .optional();
}

function ofType(type: string): z.ZodUnknown {
  return z
    .unknown()
    .refine((value) => (value as { type?: unknown } | null)?.type === type, `expected the type ${type}`);
}

export interface OfferedTools {
  tools: v1.Tool.$Properties[];
  /** What the choice demands of the output; null when the model is free. */
  choice: v1.ToolChoice.$Properties | null;
}

/**
 * The tools that the model is told of, and what its output must be. What it may not call it is not told of.
 * @throws MoesaicError invalid_argument for a choice among tools that are not there
 */
export function offeredTools(
  functions: readonly FunctionDefinition[],
  choice: ToolChoice | null | undefined,
): OfferedTools {
  checkChoice(functions, choice);
  const allowed = functions.filter(({ name }) => isAllowed(name, choice));
  return { tools: allowed.map(toolOf), choice: demandOf(choice) };
}

function isAllowed(name: string, choice: ToolChoice | null | undefined): boolean {
  if (choice?.mode === "none") return false;
  if (choice?.mode === "named") return choice.name === name;
  return choice?.mode !== "allowed" || choice.names.includes(name);
}

/** Arguments of a call that is demanded are of the function's schema. */
function demandOf(choice: ToolChoice | null | undefined): v1.ToolChoice.$Properties | null {
  if (choice?.mode === "named") return { mode: "required", name: choice.name };
  const isRequired = choice?.mode === "required" || (choice?.mode === "allowed" && choice.isRequired);
  return isRequired ? { mode: "required" } : null;
}

function checkChoice(functions: readonly FunctionDefinition[], choice: ToolChoice | null | undefined): void {
  const known = functions.map(({ name }) => name);
  const repeated = known.find((name, index) => known.indexOf(name) !== index);
  if (repeated !== undefined) throw invalid("tools", `expected each name once, got ${repeated} again`);
  if (choice === null || choice === undefined || choice.mode === "none" || choice.mode === "auto") return;
  const wanted = choice.mode === "named" ? [choice.name] : choice.mode === "allowed" ? choice.names : [];
  const missing = wanted.find((name) => !known.includes(name));
  if (missing !== undefined) throw invalid("tool_choice", `there is no tool ${missing}`);
  if (known.length === 0) throw invalid("tool_choice", "expected tools to choose from, got none");
}

function toolOf({ name, description, parameters, strict }: FunctionDefinition): v1.Tool.$Properties {
  const parametersJson = parameters == null ? "" : JSON.stringify(parameters);
  return { name, description: description ?? "", parameters_json: parametersJson, strict: strict === true };
}

function invalid(place: string, message: string): MoesaicError {
  return new MoesaicError("invalid_argument", message, { place });
}
