import type { InferenceHandlers } from "../inference-service.js";

/**
 * What the HTTP API stands on: the RPCs themselves, called within the process. There is no other way to a model. Files and batches
 * stand on the jobs' stores, with the rights of the jobs' RPCs.
 */
export type Inference = Pick<InferenceHandlers, "generate" | "tokenize" | "detokenize" | "listModels">;

export type GenerateRequest = Parameters<Inference["generate"]>[0];

export const RPC = {
  generate: "/moesaic.v1.Inference/Generate",
  tokenize: "/moesaic.v1.Inference/Tokenize",
  detokenize: "/moesaic.v1.Inference/Detokenize",
  listModels: "/moesaic.v1.Inference/ListModels",
  submitJob: "/moesaic.v1.Jobs/Submit",
  getJob: "/moesaic.v1.Jobs/Get",
  listJobs: "/moesaic.v1.Jobs/List",
  cancelJob: "/moesaic.v1.Jobs/Cancel",
  deleteJob: "/moesaic.v1.Jobs/Delete",
} as const;
