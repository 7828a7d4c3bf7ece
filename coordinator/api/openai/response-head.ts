import { servedTierOf } from "./request-fields.js";
import type { ResponseBody } from "./response-request.js";
import type { ResponseHead } from "./response-run.js";

export interface ResponseOrigin {
  id: string;
  /** Seconds since 1970. */
  createdAt: number;
  model: string;
}

/** What a response repeats of its request, with the defaults that it was made with. */
export function responseHead(body: ResponseBody, { id, createdAt, model }: ResponseOrigin): ResponseHead {
  return {
    id,
    object: "response",
    created_at: createdAt,
    model,
    background: body.background ?? false,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id || null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: body.reasoning?.effort ?? "medium", summary: body.reasoning?.summary ?? null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: servedTierOf(body.service_tier),
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: { type: "text" }, verbosity: "medium" },
    tool_choice: shownChoice(body.tool_choice),
    tools: (body.tools ?? []).map((tool) => ({
      ...tool,
      parameters: tool.parameters ?? null,
      strict: tool.strict ?? false,
    })),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: "disabled",
    user: body.user ?? null,
  };
}

function shownChoice(choice: ResponseBody["tool_choice"]): unknown {
  if (choice == null) return "auto";
  if (choice.mode === "named") return { type: "function", name: choice.name };
  if (choice.mode !== "allowed") return choice.mode;
  const tools = choice.names.map((name) => ({ type: "function", name }));
  return { type: "allowed_tools", mode: choice.isRequired ? "required" : "auto", tools };
}
