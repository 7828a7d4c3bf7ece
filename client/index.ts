/** Moesaic's client: `new MoesaicClient({ endpoint: "127.0.0.1:50051" })`. */
export {
  MoesaicClient,
  type BatchOptions,
  type CallOptions,
  type ClientOptions,
  type DrainOptions,
  type LogitsRows,
  type ServedModel,
  type SubmitOptions,
  type WatchOptions,
} from "./client.js";
export type {
  BusStatus,
  ClusterStatus,
  PlacementStatus,
  RankStatus,
  ReplicaStatus,
  SchedulerStatus,
} from "./cluster-status.js";
export type { Completion, CompletionChoice } from "./completion.js";
export type {
  DeltaEvent,
  PrefillEvent,
  FinishEvent,
  FinishReason,
  GenerateEvent,
  StartedEvent,
  TextDelta,
  Timings,
  TokenLogprob,
  Usage,
} from "./generate-event.js";
export type {
  ChatInput,
  ChatMessage,
  GenerateRequest,
  OutputConstraint,
  SamplingParams,
  TokenizeRequest,
  Tool,
  ToolCall,
} from "./generate-request.js";
export { tokensPerSecond, type Job, type JobResult } from "./job.js";
export { ERROR_CODES, MoesaicError, type ErrorCode } from "../proto/errors.js";
