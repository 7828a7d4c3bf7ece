import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import { v1 } from "../../../proto/messages.js";
import { chatInput, chatTools, messages, type RecallReasoning } from "./chat-request.js";
import type { Call, Endpoint } from "./endpoints.js";
import { RPC, type Inference } from "./inference.js";
import { nowSeconds } from "./object-id.js";
import type { ReasoningMemory } from "./reasoning-memory.js";
import { readBody, tokenIds } from "./request-body.js";
import { reasoningEffort } from "./request-fields.js";
import { chatToolChoice, offeredTools } from "./tool-choice.js";

/** Models, and the way between text and token ids. */
export function modelEndpoints(inference: Inference, memory: ReasoningMemory): Endpoint[] {
  const created = nowSeconds();
  return [
    {
      method: "GET",
      url: "/v1/models",
      rpc: RPC.listModels,
      answer: async (call) => ({ object: "list", data: await modelsOf(inference, created, call) }),
    },
    {
      method: "GET",
      // A name may have a slash in it.
      url: "/v1/models/*",
      rpc: RPC.listModels,
      answer: (call) => modelOf(inference, created, call),
    },
    { method: "POST", url: "/tokenize", rpc: RPC.tokenize, answer: (call) => tokenize(inference, memory, call) },
    { method: "POST", url: "/detokenize", rpc: RPC.detokenize, answer: (call) => detokenize(inference, call) },
  ];
}

interface ModelObject {
  id: string;
  object: "model";
  created: number;
  owned_by: string;
  max_model_len: number;
}

/** @param created when the coordinator started, seconds since 1970: models are not dated */
async function modelsOf(inference: Inference, created: number, { context }: Call): Promise<ModelObject[]> {
  const { models } = await inference.listModels(new v1.ListModelsRequest(), context);
  return (models ?? []).map(({ name, max_model_len: maxModelLen }) => ({
    id: name ?? "",
    object: "model",
    created,
    owned_by: "moesaic",
    max_model_len: maxModelLen ?? 0,
  }));
}

async function modelOf(inference: Inference, created: number, call: Call): Promise<ModelObject> {
  const models = await modelsOf(inference, created, call);
  const model = models.find(({ id }) => id === call.params["*"]);
  if (model !== undefined) return model;
  const message = `no such model is served here; there is ${models.map(({ id }) => id).join(", ")}`;
  throw new MoesaicError("not_found", message, { place: "model" });
}

const tokenizeSchema = z
  .strictObject({
    model: z.string().nullish(),
    prompt: z.string().nullish(),
    messages: messages.nullish(),
    tools: chatTools,
    tool_choice: chatToolChoice,
    reasoning_effort: reasoningEffort,
  })
  .refine((body) => (body.prompt == null) !== (body.messages == null), {
    error: "expected either prompt or messages",
    path: ["prompt"],
  });

async function tokenize(inference: Inference, memory: ReasoningMemory, { body, context }: Call): Promise<object> {
  const request = readBody(tokenizeSchema, body);
  const model = request.model ?? "";
  const recall: RecallReasoning = (callId) => memory.recall(context.tenant, callId);
  const input =
    request.messages == null ? { text: request.prompt ?? "" } : { chat: chatOf(request, request.messages, recall) };
  const { token_ids: tokens } = await inference.tokenize(v1.TokenizeRequest.create({ model, ...input }), context);
  const { models } = await inference.listModels(new v1.ListModelsRequest(), context);
  return { count: tokens?.length ?? 0, max_model_len: models?.[0]?.max_model_len ?? 0, tokens: tokens ?? [] };
}

function chatOf(
  body: z.infer<typeof tokenizeSchema>,
  conversation: NonNullable<z.infer<typeof tokenizeSchema>["messages"]>,
  recall: RecallReasoning,
): v1.ChatInput.$Properties {
  const { tools } = offeredTools(
    (body.tools ?? []).map(({ function: definition }) => definition),
    body.tool_choice,
  );
  return chatInput(conversation, tools, body.reasoning_effort ?? "", recall);
}

const detokenizeSchema = z.strictObject({ model: z.string().nullish(), tokens: tokenIds });

async function detokenize(inference: Inference, { body, context }: Call): Promise<object> {
  const { model, tokens } = readBody(detokenizeSchema, body);
  const request = v1.DetokenizeRequest.create({ model: model ?? "", token_ids: tokens });
  const { text } = await inference.detokenize(request, context);
  return { prompt: text ?? "" };
}
