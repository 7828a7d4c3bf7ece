import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import type { v1 } from "../../../proto/messages.js";
import type { RequiredForm } from "./output-form.js";
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
  form: RequiredForm | null;
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
  return { tools: allowed.map(toolOf), form: formOf(allowed, choice) };
}

function isAllowed(name: string, choice: ToolChoice | null | undefined): boolean {
  if (choice?.mode === "none") return false;
  if (choice?.mode === "named") return choice.name === name;
  return choice?.mode !== "allowed" || choice.names.includes(name);
}

function formOf(allowed: readonly FunctionDefinition[], choice: ToolChoice | null | undefined): RequiredForm | null {
  if (choice?.mode === "required") return { what: 'tool_choice "required"', place: "tool_choice" };
  if (choice?.mode === "named") return { what: "tool_choice of a function", place: "tool_choice" };
  if (choice?.mode === "allowed" && choice.isRequired) {
    return { what: "tool_choice of allowed tools with mode required", place: "tool_choice" };
  }
  const strictIndex = allowed.findIndex(({ strict }) => strict === true);
  return strictIndex < 0 ? null : { what: "a strict function", place: `tools[${strictIndex}]` };
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

function toolOf({ name, description, parameters }: FunctionDefinition): v1.Tool.$Properties {
  const parametersJson = parameters == null ? "" : JSON.stringify(parameters);
  return { name, description: description ?? "", parameters_json: parametersJson };
}

function invalid(place: string, message: string): MoesaicError {
  return new MoesaicError("invalid_argument", message, { place });
}
