/** A conversation as both public APIs hand it over, after their own checks. */
export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  /** Empty where the message has none, as an assistant message that only calls tools. */
  content: string;
  /** role tool: the function whose result this is; else found by toolCallId, else the last one called. */
  name?: string;
  /** role assistant: what the model thought before this message. */
  reasoning?: string;
  /** role assistant: the calls of this message; their results follow as tool messages. */
  toolCalls?: ToolCall[];
  /** role tool: which call this answers. */
  toolCallId?: string;
}

export interface ToolCall {
  id: string;
  name: string;
  /** As the model wrote them: JSON when it did well, any text otherwise. */
  arguments: string;
}

export interface ToolDefinition {
  name: string;
  description?: string;
  /** JSON schema of the arguments object. */
  parameters?: Record<string, unknown>;
  /** Arguments are of the schema also where the model need not call. The model is not told. */
  strict?: boolean;
}

export interface PromptOptions {
  reasoningEffort: "low" | "medium" | "high";
  /** `YYYY-MM-DD`; today (UTC) when absent. Pin it where prompts must repeat exactly. */
  currentDate?: string;
  /** First line of the system message; the identity the published models were trained with when absent. */
  modelIdentity?: string;
  /** `YYYY-MM`; 2024-06 when absent. */
  knowledgeCutoff?: string;
  /** Tells the model the wanted form of the answer; only a grammar can enforce it. */
  responseFormat?: { name: string; schema: Record<string, unknown> };
}
