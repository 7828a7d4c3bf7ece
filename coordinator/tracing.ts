import {
  context as otelContext,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type SpanContext,
  type Tracer,
} from "@opentelemetry/api";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { v1 } from "../proto/messages.js";
import type { CallLimits, RequestContext } from "./api/request-context.js";
import type { RankSteps } from "./cluster/rank-steps.js";
import type { StepObserver } from "./engine-loop.js";

/** While requests are traced one in so many of a replica's steps has spans: a step takes milliseconds. */
const STEPS_PER_SPAN = 16;

type GenerateEvent = v1.GenerateEvent.$Properties;
type StepFacts = Parameters<StepObserver["stepFinished"]>[0];

/** A span may be made below one that has ended. Each report of a rank tells of up to 512 steps, 32 of them recorded. */
const MAX_UNTOLD = 256;

interface UntoldStep {
  replicaId: number;
  epoch: number;
  stepId: number;
  below: Context;
  toldRanks: Set<number>;
}

/** Of `Replica` and its seats. */
interface ToldReplica {
  readonly replicaId: number;
  readonly epoch: number;
  readonly seats: readonly unknown[];
}

interface ToldSeat {
  readonly rank: number;
  readonly steps: Pick<RankSteps, "after">;
}

/** Who asks for a request; one of the coordinator's own jobs is part of nobody's trace. */
type Caller = CallLimits & Partial<Pick<RequestContext, "method" | "traceparent" | "tracestate">>;

/** What is traced of a request, beside its events. */
export interface TracedRequest {
  requestId: string;
  model: string;
  /** Of each choice, by its number. */
  seqIds: readonly number[];
}

/**
 * Spans of requests and steps, made from what is measured anyway: a request's when its events pass, a step's when its result has
 * come. A request's span continues the caller's trace (W3C `traceparent`) and has the spans queue, prefill and decode of each
 * choice below it. A step serves many requests, so its span is the root of a trace of its own with a link to each; below it is
 * the time inside the engine of each rank, as that rank measured it and tells a little later. No span has a prompt or an output.
 *
 * Where nobody traces there is no Tracing.
 */
export class Tracing {
  readonly #tracer: Tracer;
  /** Wall-clock time of the monotonic clock's zero, milliseconds. */
  readonly #originMs: number;
  readonly #clock: Clock;
  /** Sequences of requests that are recorded. */
  readonly #ofSequence = new Map<number, SpanContext>();
  /** Recorded steps that not all ranks have told of, oldest first. */
  #untold: UntoldStep[] = [];

  constructor(tracer: Tracer, clock: Clock) {
    this.#tracer = tracer;
    this.#clock = clock;
    this.#originMs = Date.now() - clock.nowMs();
  }

  /** Passes a request's events on, and records it. */
  async *request(
    request: TracedRequest,
    context: Caller,
    events: AsyncIterable<GenerateEvent>,
  ): AsyncGenerator<GenerateEvent, void, undefined> {
    const receivedMs = this.#nowMs();
    const span = this.#begin(request, context, receivedMs);
    const below = trace.setSpan(otelContext.active(), span);
    if (span.isRecording()) for (const seqId of request.seqIds) this.#ofSequence.set(seqId, span.spanContext());
    try {
      for await (const event of events) {
        if (event.finish && span.isRecording()) this.#finish(span, below, event, receivedMs);
        yield event;
      }
    } catch (caught) {
      setError(span, MoesaicError.from(caught).code);
      throw caught;
    } finally {
      for (const seqId of request.seqIds) this.#ofSequence.delete(seqId);
      span.end(this.#nowMs());
    }
  }

  /** An observer of one replica's steps that records some of them and tells `next` of all. */
  stepsOf<T extends StepObserver>(replicaId: number, next: T): T {
    let numSteps = 0;
    const record = (facts: StepFacts): void => {
      if (this.#ofSequence.size === 0 || numSteps++ % STEPS_PER_SPAN !== 0) return;
      const links = facts.step.parts.flatMap(({ sequence }) => this.#ofSequence.get(sequence.seqId) ?? []);
      if (links.length > 0) this.#step(replicaId, facts, links);
    };
    return {
      ...next,
      stepFinished: (facts: StepFacts) => {
        next.stepFinished(facts);
        record(facts);
      },
    };
  }

  /** A rank has told of its steps: those that are recorded get a span of its own. */
  rankTold({ replicaId, epoch, seats }: ToldReplica, { rank, steps }: ToldSeat): void {
    if (this.#untold.length === 0) return;
    for (const step of this.#untold) {
      if (step.replicaId !== replicaId || step.epoch !== epoch || step.toldRanks.has(rank)) continue;
      const [told] = steps.after(step.stepId - 1);
      if (told?.stepId !== step.stepId) continue;
      step.toldRanks.add(rank);
      const attributes = { "moesaic.rank": rank, "moesaic.collective_us": Math.round(1_000 * told.collectiveMs) };
      this.#part("engine", step.below, this.#originMs + told.beginMs, this.#originMs + told.endMs, attributes);
    }
    this.#untold = this.#untold.filter((step) => step.replicaId !== replicaId || step.toldRanks.size < seats.length);
  }

  #nowMs(): number {
    return this.#originMs + this.#clock.nowMs();
  }

  #begin({ requestId, model }: TracedRequest, context: Caller, startTime: number): Span {
    const { traceparent = null, tracestate, method = "job" } = context;
    const carrier = { ...(traceparent === null ? {} : { traceparent }), ...(tracestate ? { tracestate } : {}) };
    const attributes = { "gen_ai.request.model": model, "gen_ai.response.id": requestId, "rpc.method": method };
    const options = { kind: SpanKind.SERVER, startTime, attributes };
    return this.#tracer.startSpan("request", options, propagation.extract(otelContext.active(), carrier));
  }

  #finish(span: Span, below: Context, { choice = 0, finish }: GenerateEvent, receivedMs: number): void {
    const { timings, usage, reason = "", error } = finish!;
    const scheduledMs = receivedMs + (timings?.queue_ms ?? 0);
    const firstTokenMs = receivedMs + (timings?.time_to_first_token_ms ?? 0);
    const endMs = receivedMs + (timings?.total_ms ?? 0);
    const attributes = { "moesaic.choice": choice ?? 0 };
    this.#part("queue", below, receivedMs, scheduledMs, attributes);
    const numTokens = usage?.completion_tokens ?? 0;
    if (numTokens > 0) {
      this.#part("prefill", below, scheduledMs, firstTokenMs, attributes);
      this.#part("decode", below, firstTokenMs, endMs, attributes);
    }
    span.setAttributes({
      "gen_ai.usage.input_tokens": usage?.prompt_tokens ?? 0,
      "gen_ai.response.finish_reasons": [reason ?? ""],
      [`moesaic.choice.${choice}.output_tokens`]: numTokens,
    });
    if (error) setError(span, error.code ?? "internal");
  }

  #part(name: string, parent: Context, beginMs: number, endMs: number, attributes: Attributes): void {
    this.#tracer.startSpan(name, { startTime: beginMs, attributes }, parent).end(Math.max(beginMs, endMs));
  }

  #step(replicaId: number, { step: { parts, size }, result, durationMs }: StepFacts, links: SpanContext[]): void {
    const endMs = this.#nowMs();
    const attributes = {
      "moesaic.replica": replicaId,
      "moesaic.epoch": result.epoch,
      "moesaic.step": result.stepId,
      "moesaic.sequences": parts.length,
      "moesaic.tokens": size.numTokens,
    };
    const distinct = [...new Map(links.map((link) => [link.spanId, link])).values()];
    const options = {
      startTime: endMs - durationMs,
      attributes,
      root: true,
      links: distinct.map((context) => ({ context })),
    };
    const span = this.#tracer.startSpan("step", options);
    span.end(endMs);
    const below = trace.setSpan(otelContext.active(), span);
    const { epoch, stepId } = result;
    this.#untold.push({ replicaId, epoch, stepId, below, toldRanks: new Set() });
    // Its ranks were lost, or are of a version that tells of no steps.
    if (this.#untold.length > MAX_UNTOLD) this.#untold.shift();
  }
}

function setError(span: Span, code: string): void {
  span.setAttribute("error.type", code);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
