import { z } from "zod";
import type {
  ChatInput,
  ChatMessage,
  GenerateRequest,
  OutputConstraint,
  SamplingParams,
  Tool,
  ToolCall,
} from "../client/generate-request.js";
import { suggestion } from "../plans/nearest-name.js";
import { throwProblems } from "../plans/problems.js";

/** A line of an input file as a request, and the id that its result carries. */
export interface RequestLine {
  id: string | number;
  request: GenerateRequest;
}

/** What holds for every request that does not say it itself. */
export type RequestDefaults = Pick<GenerateRequest, "sampling" | "constraint">;

/**
 * Reads JSON lines `{id, tokens | prompt | messages, max_tokens, temperature, …}`; empty lines are left out.
 * @param fileName as it is to stand in errors
 * @param defaults for what a line does not say
 * @throws MoesaicError invalid_argument with every bad line
 */
export function parseRequestLines(text: string, fileName: string, defaults: RequestDefaults): RequestLine[] {
  const problems: string[] = [];
  const requests: RequestLine[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const parsed = parseRequestLine(line, requests.length, defaults);
    if (Array.isArray(parsed)) problems.push(...parsed.map((problem) => `${fileName}:${index + 1}: ${problem}`));
    else requests.push(parsed);
  }
  if (requests.length === 0 && problems.length === 0) problems.push(`${fileName}:1: expected at least one line`);
  throwProblems(problems, fileName);
  return requests;
}

/** @param index the id of a line that says none   @returns what is wrong with it when it is no request */
export function parseRequestLine(line: string, index: number, defaults: RequestDefaults): RequestLine | string[] {
  const checked = checkLine(line);
  return Array.isArray(checked) ? checked : toRequest(checked, index, defaults);
}

// ---- schema --------------------------------------------------------------------------------------------------------

const whole = z.int();
const TEMPLATE_FIELDS = {
  reasoning_effort: z.enum(["low", "medium", "high"]),
  current_date: z.string(),
  model_identity: z.string(),
  knowledge_cutoff: z.string(),
  response_format: z.strictObject({ name: z.string(), schema: z.record(z.string(), z.unknown()) }),
};

/** `{id, name, arguments}`, or OpenAI's `{id, type, function: {name, arguments}}`. */
const callSchema = z.union([
  z.strictObject({ id: z.string().default(""), name: z.string(), arguments: z.string() }),
  z
    .strictObject({
      id: z.string().default(""),
      type: z.literal("function").optional(),
      function: z.strictObject({ name: z.string(), arguments: z.string() }),
    })
    .transform(({ id, function: called }) => ({ id, ...called })),
]);

const plainToolSchema = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
  strict: z.boolean().optional(),
});
const toolSchema = z.union([
  plainToolSchema,
  z
    .strictObject({ type: z.literal("function"), function: plainToolSchema })
    .transform(({ function: described }) => described),
]);

const messageSchema = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: z.string().nullish(),
  name: z.string().optional(),
  reasoning: z.string().nullish(),
  /** As chat templates of Harmony models name the reasoning. */
  thinking: z.string().nullish(),
  tool_calls: z.array(callSchema).nullish(),
  tool_call_id: z.string().optional(),
});

const lineSchema = z
  .strictObject({
    id: z.union([z.string(), z.number()]),
    tokens: z.array(whole),
    prompt: z.string(),
    messages: z.array(messageSchema),
    tools: z.array(toolSchema).nullable(),
    ...TEMPLATE_FIELDS,
    template_args: z.strictObject(TEMPLATE_FIELDS).partial(),
    model: z.string(),
    priority: whole,
    max_tokens: whole,
    min_tokens: whole,
    temperature: z.number(),
    top_p: z.number(),
    top_k: whole,
    min_p: z.number(),
    presence_penalty: z.number(),
    frequency_penalty: z.number(),
    repetition_penalty: z.number(),
    seed: whole,
    stop: z.union([z.string(), z.array(z.string())]),
    stop_token_ids: z.array(whole),
    ignore_eos: z.boolean(),
    logprobs: whole,
    logit_bias: z.record(z.string().regex(/^\d+$/, "expected a token id"), z.number()),
    n: whole,
    json_schema: z.record(z.string(), z.unknown()),
    regex: z.string(),
    choice: z.array(z.string()),
    tool_choice: z.union([z.enum(["auto", "none", "required"]), z.strictObject({ name: z.string() })]),
  })
  .partial();
type Line = z.output<typeof lineSchema>;

/** The line, or what is wrong with it. */
function checkLine(text: string): Line | string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (caught) {
    return [`not JSON: ${(caught as Error).message}`];
  }
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) return parsed.error.issues.flatMap(describeIssue);
  const inputs = (["tokens", "prompt", "messages"] as const).filter((name) => parsed.data[name] !== undefined);
  const constraints = (["json_schema", "regex", "choice"] as const).filter((name) => parsed.data[name] !== undefined);
  if (constraints.length > 1)
    return [`expected one of json_schema, regex and choice, got ${constraints.join(" and ")}`];
  if (inputs.length === 1) return parsed.data;
  return [`expected one of tokens, prompt and messages, got ${inputs.length === 0 ? "none" : inputs.join(" and ")}`];
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  const path = issue.path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
    .join("")
    .slice(1);
  if (issue.code !== "unrecognized_keys") return [path === "" ? issue.message : `${path}: ${issue.message}`];
  const known =
    path === "template_args" ? Object.keys(TEMPLATE_FIELDS) : path === "" ? Object.keys(lineSchema.shape) : [];
  const prefix = path === "" ? "" : `${path}.`;
  return issue.keys.map((key) => `${prefix}${key}: no such key${suggestion(key, known)}`);
}

// ---- to the client's types -----------------------------------------------------------------------------------------

function toRequest(line: Line, index: number, defaults: RequestDefaults): RequestLine {
  const request: GenerateRequest = {
    ...inputOf(line),
    ...present({
      model: line.model,
      priority: line.priority,
      constraint: constraintOf(line) ?? defaults.constraint,
    }),
    sampling: { ...defaults.sampling, ...samplingOf(line) },
  };
  return { id: line.id ?? index, request };
}

function constraintOf({ json_schema, regex, choice }: Line): OutputConstraint | undefined {
  if (json_schema !== undefined) return { jsonSchema: json_schema };
  if (regex !== undefined) return { regex };
  return choice === undefined ? undefined : { choice };
}

function inputOf(line: Line): { prompt: string } | { tokenIds: number[] } | ChatInput {
  if (line.tokens !== undefined) return { tokenIds: line.tokens };
  if (line.prompt !== undefined) return { prompt: line.prompt };
  const args = { ...line.template_args, ...line };
  return {
    messages: (line.messages ?? []).map(toMessage),
    ...present({
      tools: line.tools?.map((tool): Tool => present(tool)),
      reasoningEffort: args.reasoning_effort,
      currentDate: args.current_date,
      modelIdentity: args.model_identity,
      knowledgeCutoff: args.knowledge_cutoff,
      responseFormat: args.response_format,
      toolChoice: line.tool_choice,
    }),
  };
}

function toMessage(message: z.output<typeof messageSchema>): ChatMessage {
  const reasoning = message.reasoning ?? message.thinking ?? undefined;
  const toolCalls: ToolCall[] | undefined = message.tool_calls ?? undefined;
  return {
    role: message.role,
    content: message.content ?? "",
    ...present({ name: message.name, reasoning, toolCalls, toolCallId: message.tool_call_id }),
  };
}

function samplingOf(line: Line): SamplingParams {
  return present({
    maxTokens: line.max_tokens,
    minTokens: line.min_tokens,
    temperature: line.temperature,
    topP: line.top_p,
    topK: line.top_k,
    minP: line.min_p,
    presencePenalty: line.presence_penalty,
    frequencyPenalty: line.frequency_penalty,
    repetitionPenalty: line.repetition_penalty,
    seed: line.seed,
    stop: typeof line.stop === "string" ? [line.stop] : line.stop,
    stopTokenIds: line.stop_token_ids,
    ignoreEos: line.ignore_eos,
    logprobs: line.logprobs,
    logitBias: line.logit_bias,
    n: line.n,
  });
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function present<T extends object>(
  fields: T,
): Present<T> & { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as ReturnType<typeof present<T>>;
}
