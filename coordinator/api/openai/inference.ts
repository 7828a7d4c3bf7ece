import type { InferenceHandlers } from "../inference-service.js";

/** What the HTTP API stands on: the RPCs themselves, called within the process. There is no other way to a model. */
export type Inference = Pick<InferenceHandlers, "generate" | "tokenize" | "detokenize" | "listModels">;

export type GenerateRequest = Parameters<Inference["generate"]>[0];

export const RPC = {
  generate: "/moesaic.v1.Inference/Generate",
  tokenize: "/moesaic.v1.Inference/Tokenize",
  detokenize: "/moesaic.v1.Inference/Detokenize",
  listModels: "/moesaic.v1.Inference/ListModels",
} as const;
