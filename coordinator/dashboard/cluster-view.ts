import type { v1 } from "../../proto/messages.js";
import type { ClusterEvent } from "../bus/events.js";

/**
 * What the dashboard's page is told: once all that is remembered, then every second what is new. Times are milliseconds since
 * 1970 by the coordinator's clock. Messages of the protocol have all their fields, by the protocol's names.
 */
export interface ClusterView {
  /** Whether the lists hold all that is remembered, and take the place of what the page had. */
  isWhole: boolean;
  atMs: number;
  status: v1.StatusResponse.$Properties;
  /** A second each, oldest first. */
  samples: ClusterSample[];
  timelines: RankTimeline[];
  experts: ExpertLoad[];
  /** Newest first; null: none are kept here. */
  jobs: v1.Job.$Properties[] | null;
  events: TimedEvent[];
}

/** One second of the cluster. */
export interface ClusterSample {
  atMs: number;
  /** Of the requests that got their first token in the last seconds, milliseconds; null: none did. */
  ttft: Quantiles | null;
  /** Of the gaps between two tokens of a sequence in this second, milliseconds; null: there was none. */
  itl: Quantiles | null;
  replicas: ReplicaSample[];
}

export interface Quantiles {
  p50: number;
  p95: number;
}

/** One second of a replica. Rates are per second, means are over the second's steps and 0 without one. */
export interface ReplicaSample {
  replicaId: number;
  numRunning: number;
  numWaiting: number;
  /** Tokens sampled. */
  outputRate: number;
  /** Tokens computed that sampled nothing: of prompts, or again. */
  prefillRate: number;
  stepRate: number;
  /** Sequences in a step. */
  meanSequences: number;
  /** Tokens in a step. */
  meanTokens: number;
  meanStepMs: number;
  /** The part of it inside the lead's engine. */
  meanEngineMs: number;
  blocks: { full: number; sliding: number; free: number; total: number };
}

/** Steps of a rank, oldest first. */
export interface RankTimeline {
  replicaId: number;
  rank: number;
  steps: TimelineStep[];
}

export interface TimelineStep {
  stepId: number;
  beginMs: number;
  endMs: number;
  /** The part of it inside collectives, waiting for the other ranks included. */
  collectiveMs: number;
}

/** Where the tokens of a replica went. */
export interface ExpertLoad {
  replicaId: number;
  epoch: number;
  numLayers: number;
  numExperts: number;
  /** Pairs of token and chosen expert since the epoch began, layer after layer. */
  numTokens: number[];
  /** Those of the last half minute. */
  numRecentTokens: number[];
}

export interface TimedEvent {
  atMs: number;
  event: ClusterEvent;
}
