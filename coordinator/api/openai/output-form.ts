import { v1 } from "../../../proto/messages.js";

/** A format of the answer, whichever endpoint's words it was in. */
export type AnswerFormat =
  | { type: "text" }
  | { type: "json_object" }
  | { type: "json_schema"; name: string; schema?: Record<string, unknown> | null | undefined };

/** What the answer has to be, and what the model is told of it. */
export interface OutputForm {
  /** null: the answer is free. */
  constraint: v1.OutputConstraint.$Shape | null;
  responseFormat: v1.ResponseFormat.$Properties | null;
}

const ANY_OBJECT = { type: "object", additionalProperties: true };

/** Enforced while sampling, whether `strict` or not: a client that asks for JSON must not find out by parsing. */
export function outputFormOf(format: AnswerFormat | null | undefined): OutputForm {
  if (format == null || format.type === "text") return { constraint: null, responseFormat: null };
  // For json_object OpenAI has the prompt say what is wanted.
  if (format.type !== "json_schema") return { constraint: jsonOf(ANY_OBJECT), responseFormat: null };
  const schema = format.schema ?? ANY_OBJECT;
  return {
    constraint: jsonOf(schema),
    responseFormat: { name: format.name, schema_json: JSON.stringify(schema) },
  };
}

function jsonOf(schema: Record<string, unknown>): v1.OutputConstraint.$Shape {
  return v1.OutputConstraint.create({ json_schema: JSON.stringify(schema) });
}
