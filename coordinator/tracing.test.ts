import { propagation } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import assert from "node:assert/strict";
import { afterEach, before, describe, it } from "node:test";
import { systemClock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { v1 } from "../proto/messages.js";
import type { StepResult } from "../proto/step.js";
import type { RequestContext } from "./api/request-context.js";
import { RankSteps } from "./cluster/rank-steps.js";
import type { StepObserver } from "./engine-loop.js";
import type { PlannedStep } from "./scheduler/planned-step.js";
import { Tracing } from "./tracing.js";

type GenerateEvent = v1.GenerateEvent.$Properties;

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = {
  method: "/moesaic.v1.Inference/Generate",
  traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01`,
  tracestate: "vendor=x",
} as RequestContext;
const UNSAMPLED = { ...CALLER, traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-00` } as RequestContext;
const REQUEST = { requestId: "r", model: "m", seqIds: [7] };
const TIMINGS = { queue_ms: 10, time_to_first_token_ms: 40, decode_ms: 60, total_ms: 100 };
const FINISH = { reason: "stop", usage: { prompt_tokens: 5, completion_tokens: 3 }, timings: TIMINGS };

/** The real SDK, whose spans stay in memory. */
describe("Tracing", () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const tracing = new Tracing(provider.getTracer("test"), systemClock);

  before(() => {
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  });

  afterEach(() => exporter.reset());

  const spans = () => exporter.getFinishedSpans();
  const named = (name: string) => spans().filter((span) => span.name === name);
  const durationMs = (name: string) => {
    const [seconds, nanos] = named(name)[0]!.duration;
    return Math.round(seconds * 1_000 + nanos / 1e6);
  };

  it("continues the caller's trace with what the request's time went to", async () => {
    await run(tracing, CALLER, [{ delta: { text: [{ text: "secret" }] } }, { choice: 0, finish: FINISH }]);
    assert.deepEqual(new Set(spans().map((span) => span.spanContext().traceId)), new Set([TRACE_ID]));
    const [request] = named("request");
    assert.equal(request!.parentSpanContext?.spanId, "00f067aa0ba902b7");
    assert.equal(request!.spanContext().traceState?.get("vendor"), "x");
    for (const name of ["queue", "prefill", "decode"]) {
      assert.equal(named(name)[0]!.parentSpanContext?.spanId, request!.spanContext().spanId);
    }
    assert.deepEqual(["queue", "prefill", "decode"].map(durationMs), [10, 30, 60]);
    assert.ok(!JSON.stringify(spans().map(({ attributes }) => attributes)).includes("secret"));
  });

  it("says how a request failed, and ends its span when the caller leaves", async () => {
    const failing = async function* (): AsyncIterable<GenerateEvent> {
      yield {};
      throw new MoesaicError("unavailable", "gone");
    };
    await assert.rejects(collect(tracing.request(REQUEST, CALLER, failing())));
    assert.equal(named("request")[0]!.attributes["error.type"], "unavailable");
    for await (const event of tracing.request(REQUEST, CALLER, failing())) {
      assert.ok(event);
      break;
    }
    assert.equal(named("request").length, 2);
  });

  it("links a step to the requests in it, with the time that the rank measured", async () => {
    let numTold = 0;
    const observer = tracing.stepsOf<StepObserver>(1, { stepFinished: () => void (numTold += 1) });
    const events = tracing.request(REQUEST, CALLER, eventsOf([{}, {}]));
    const reading = events[Symbol.asyncIterator]();
    await reading.next();
    for (let stepId = 1; stepId <= 17; stepId += 1) observer.stepFinished(stepOf(stepId));
    assert.equal(numTold, 17);
    assert.equal(named("step").length, 2, "one in sixteen");
    await reading.return();
    const request = named("request")[0]!.spanContext();
    const [step] = named("step");
    assert.deepEqual(
      step!.links.map(({ context }) => context.spanId),
      [request.spanId],
    );
    assert.notEqual(step!.spanContext().traceId, TRACE_ID);
    assert.equal(step!.attributes["moesaic.replica"], 1);
    assert.equal(durationMs("step"), 20);
    const replica = { replicaId: 1, epoch: 1, seats: [0, 1] };
    const seat = (rank: number, ...stepIds: number[]) => {
      const steps = new RankSteps();
      const times = { ended_us_ago: 5_000, engine_us: 15_000, collective_us: 2_000 };
      steps.take(
        stepIds.map((stepId) => ({ step_id: stepId, ...times })),
        systemClock.nowMs(),
        0,
      );
      return { rank, steps };
    };
    // Of another replica, of another epoch, and before this step.
    tracing.rankTold({ ...replica, replicaId: 0 }, seat(0, 1));
    tracing.rankTold({ ...replica, epoch: 2 }, seat(0, 1));
    tracing.rankTold(replica, seat(0, 2, 3));
    assert.deepEqual(named("engine"), []);
    tracing.rankTold(replica, seat(0, 1));
    tracing.rankTold(replica, seat(1, 1, 2));
    // Told again.
    for (const rank of [0, 1]) tracing.rankTold(replica, seat(rank, 1));
    const engines = named("engine");
    assert.deepEqual(
      engines.map(({ attributes }) => [attributes["moesaic.rank"], attributes["moesaic.collective_us"]]),
      [
        [0, 2_000],
        [1, 2_000],
      ],
    );
    for (const engine of engines) assert.equal(engine.parentSpanContext?.spanId, step!.spanContext().spanId);
    assert.equal(durationMs("engine"), 15);
    for (let stepId = 18; stepId <= 50; stepId += 1) observer.stepFinished(stepOf(stepId));
    assert.equal(named("step").length, 2, "nobody who is traced is in the later ones");
  });

  it("records nothing for a caller that records nothing", async () => {
    const observer = tracing.stepsOf<StepObserver>(0, { stepFinished: () => {} });
    const reading = tracing.request(REQUEST, UNSAMPLED, eventsOf([{}]))[Symbol.asyncIterator]();
    await reading.next();
    observer.stepFinished(stepOf(1));
    await reading.return();
    assert.deepEqual(spans(), []);
  });
});

async function* eventsOf(events: GenerateEvent[]): AsyncIterable<GenerateEvent> {
  for (const event of events) yield event;
}

async function collect(events: AsyncIterable<GenerateEvent>): Promise<void> {
  for await (const event of events) assert.ok(event);
}

function run(tracing: Tracing, context: RequestContext, events: GenerateEvent[]): Promise<void> {
  return collect(tracing.request(REQUEST, context, eventsOf(events)));
}

/** Of sequence 7 alone. */
function stepOf(stepId: number) {
  const step = { stepId, parts: [{ sequence: { seqId: 7 } }], size: { numTokens: 1 } } as PlannedStep;
  return { step, result: { epoch: 1, stepId, engineUs: 15_000 } as StepResult, durationMs: 20, numDecodes: 1 };
}
