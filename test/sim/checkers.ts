import assert from "node:assert/strict";
import type { StepPlan } from "../../proto/step.js";
import type { Policy } from "../../coordinator/scheduler/policy.js";
import type { SchedulerConfig } from "../../coordinator/scheduler/scheduler-config.js";
import type { FinishReason, SequenceSpec } from "../../coordinator/scheduler/sequence.js";
import type { SequenceOutput } from "../../coordinator/scheduler/sequence-output.js";
import { fakeLogits, fakeToken } from "../../worker/fake-engine.js";
import type { FakeMasker } from "./fake-masker.js";

/** Every request ends exactly once, for a reason that was there, and says what the pure function says until then. */
export class RequestChecker {
  readonly #config: SchedulerConfig;
  readonly #expected = new Map<number, ExpectedSequence>();

  constructor(config: SchedulerConfig) {
    this.#config = config;
  }

  get liveSeqIds(): number[] {
    return [...this.#expected.keys()];
  }

  /** Constrained sequences that have not ended. */
  get numMasked(): number {
    return [...this.#expected.values()].filter(({ spec }) => spec.masker !== undefined).length;
  }

  onAdd(spec: SequenceSpec): void {
    assert.ok(!this.#expected.has(spec.seqId));
    this.#expected.set(spec.seqId, { spec, tokenIds: Array.from(spec.promptTokenIds), numLogits: 0, abortedAs: null });
  }

  onAbort(seqId: number, finish: FinishReason): void {
    this.#expected.get(seqId)!.abortedAs ??= finish;
  }

  onOutputs(outputs: readonly SequenceOutput[], nowMs: number): void {
    for (const output of outputs) {
      const expected = this.#expected.get(output.seqId);
      assert.ok(expected !== undefined, `sequence ${output.seqId} goes on after its end`);
      assert.equal(output.requestId, expected.spec.requestId);
      if (output.tokenId !== undefined) this.#checkToken(expected, output);
      if (output.logits !== undefined) this.#checkLogits(expected, output.logits);
      assert.equal(output.numOutputTokens, expected.tokenIds.length - expected.spec.promptTokenIds.length);
      if (output.finish === undefined) continue;
      this.#checkEnd(expected, output, nowMs);
      this.#expected.delete(output.seqId);
    }
  }

  /** After the world came to rest. */
  onIdle(): void {
    assert.deepEqual(this.liveSeqIds, [], "sequences never ended");
  }

  #checkToken({ spec, tokenIds, abortedAs }: ExpectedSequence, output: SequenceOutput): void {
    assert.equal(abortedAs, null, `sequence ${spec.seqId} got a token after it was aborted`);
    const masker = spec.masker as FakeMasker | undefined;
    const allowed = masker?.allowedAfter(tokenIds.slice(spec.promptTokenIds.length)) ?? null;
    assert.equal(output.tokenId, fakeToken(spec.sampling, tokenIds, this.#config.vocabSize, allowed));
    const { numTopLogprobs } = spec.sampling;
    assert.equal(output.logprob !== undefined, numTopLogprobs >= 0);
    assert.equal(output.topLogprobs?.length, numTopLogprobs > 0 ? numTopLogprobs : undefined);
    if (numTopLogprobs > 0) assert.equal(output.topLogprobs![0]!.tokenId, output.tokenId);
    tokenIds.push(output.tokenId);
  }

  #checkLogits(
    expected: ExpectedSequence,
    { position, numTokens, values }: NonNullable<SequenceOutput["logits"]>,
  ): void {
    const { spec, tokenIds } = expected;
    const { vocabSize } = this.#config;
    assert.equal(position, expected.numLogits, `sequence ${spec.seqId}: logits left out or repeated`);
    for (let i = 0; i < numTokens; i++) {
      const wanted = fakeLogits(spec.sampling, tokenIds.slice(0, position + i + 1), vocabSize);
      assert.deepEqual(values.subarray(i * vocabSize, (i + 1) * vocabSize), wanted);
    }
    expected.numLogits += numTokens;
  }

  #checkEnd({ spec, tokenIds, numLogits, abortedAs }: ExpectedSequence, output: SequenceOutput, nowMs: number): void {
    const { kvGroups, blockSize, numBlocks } = this.#config;
    const isFull = spec.wantsLogits ? numLogits === tokenIds.length : tokenIds.length === spec.sampling.maxSeqLen;
    const isStopped = spec.sampling.stopTokenIds.includes(tokenIds.at(-1)!) && output.tokenId !== undefined;
    const isOverdue = spec.deadlineMs !== null && spec.deadlineMs <= nowMs;
    const isTooLarge = Math.ceil(tokenIds.length / blockSize) * kvGroups.length > numBlocks - 1;
    assert.ok(output.timings !== undefined);
    if (output.error?.code === "deadline_exceeded") assert.ok(isOverdue && output.finish === "abort");
    else if (abortedAs !== null) assert.equal(output.finish, abortedAs);
    else if (output.finish === "error") assert.ok(isTooLarge && output.error?.code === "resource_exhausted");
    else assert.equal(output.finish, isStopped ? "stop" : isFull ? "length" : "none");
  }
}

interface ExpectedSequence {
  spec: SequenceSpec;
  tokenIds: number[];
  numLogits: number;
  abortedAs: FinishReason | null;
}

/** Nobody begins behind tokens that no other sequence of its tenant had: what one tenant asks is not for another to find out. */
export class TenantChecker {
  readonly #blockSize: number;
  readonly #sequences = new Map<number, { tenant: string; tokenIds: number[]; numCachedTokens: number }>();

  constructor({ blockSize }: SchedulerConfig) {
    this.#blockSize = blockSize;
  }

  onAdd({ seqId, promptTokenIds, tenant = "" }: SequenceSpec): void {
    this.#sequences.set(seqId, { tenant, tokenIds: Array.from(promptTokenIds), numCachedTokens: 0 });
  }

  onOutputs(outputs: readonly SequenceOutput[]): void {
    for (const { seqId, tokenId, numCachedTokens } of outputs) {
      const sequence = this.#sequences.get(seqId)!;
      sequence.numCachedTokens = numCachedTokens;
      if (tokenId !== undefined) sequence.tokenIds.push(tokenId);
    }
  }

  onIdle(): void {
    const numWith = new Map<string, number>();
    for (const { tenant, tokenIds } of this.#sequences.values()) {
      for (let length = this.#blockSize; length <= tokenIds.length; length += this.#blockSize) {
        const prefix = `${tenant} ${tokenIds.slice(0, length).join()}`;
        numWith.set(prefix, (numWith.get(prefix) ?? 0) + 1);
      }
    }
    for (const [seqId, { tenant, tokenIds, numCachedTokens }] of this.#sequences) {
      if (numCachedTokens === 0) continue;
      const prefix = `${tenant} ${tokenIds.slice(0, numCachedTokens).join()}`;
      assert.ok(numWith.get(prefix)! > 1, `sequence ${seqId} began behind tokens that nobody of its tenant had`);
    }
  }
}

/**
 * Step ids rise by one per epoch; nobody is let past another at admission; nobody older is preempted for a younger, and the
 * first of all never for another. Under the policy `fair` the order holds within a tenant.
 */
export class OrderChecker {
  readonly #policy: Policy;
  readonly #places = new Map<number, Place>();
  /** Ended since the last plan: when somebody was preempted they may have been there still. */
  #gone = new Map<number, Place>();
  #rows = new Map<number, number>();
  #epoch = 1;
  #stepId = 0;
  #numAdded = 0;

  constructor({ policy = "fair" }: SchedulerConfig) {
    this.#policy = policy;
  }

  onAdd({ seqId, priority, tenant = "" }: SequenceSpec): void {
    const place = { priority: this.#policy === "fifo" ? 0 : priority, arrival: this.#numAdded++ };
    this.#places.set(seqId, { ...place, tenant: this.#policy === "fair" ? tenant : "" });
  }

  onOutputs(outputs: readonly SequenceOutput[]): void {
    for (const { seqId, finish } of outputs) {
      if (finish === undefined) continue;
      this.#gone.set(seqId, this.#places.get(seqId)!);
      this.#places.delete(seqId);
    }
  }

  onReset(epoch: number): void {
    this.#epoch = epoch;
    this.#stepId = 0;
    this.#rows = new Map();
  }

  onPlan(plan: StepPlan): void {
    assert.deepEqual([plan.epoch, plan.stepId], [this.#epoch, this.#stepId + 1]);
    this.#stepId = plan.stepId + plan.numGrantedSteps;
    const ended = Array.from(plan.finishedRows, (row) => this.#endRow(row));
    const preempted = ended.filter((seqId) => this.#isLive(seqId));
    const gone = ended.filter((seqId) => !this.#isLive(seqId));
    // Who was admitted for this step, before somebody was preempted for another, may be the first now.
    const begun = plan.newRows.map(({ seqId }) => seqId);
    for (const seqId of preempted) {
      const others = [...this.#rows.values()].filter((other) => this.#isLive(other));
      const younger = others.filter((other) => this.#isSameTenant(seqId, other) && this.#isBefore(seqId, other));
      assert.deepEqual(younger, [], `sequence ${seqId} was preempted before younger ones`);
      const isFirst =
        others.length > 0 && [...others, ...gone, ...begun].every((other) => this.#isBefore(seqId, other));
      assert.ok(!isFirst, `sequence ${seqId} was preempted and is the first of all`);
    }
    this.#gone.clear();
    this.#checkAdmissions(plan);
  }

  #checkAdmissions(plan: StepPlan): void {
    for (const { row, seqId } of plan.newRows) {
      assert.ok(!this.#rows.has(row), `row ${row} was begun twice`);
      this.#rows.set(row, seqId);
    }
    const running = new Set(this.#rows.values());
    const waiting = [...this.#places.keys()].filter((seqId) => !running.has(seqId));
    for (const { seqId } of plan.newRows) {
      assert.deepEqual(
        waiting.filter((other) => this.#isSameTenant(seqId, other) && this.#isBefore(other, seqId)),
        [],
        `sequence ${seqId} overtook others`,
      );
    }
  }

  #endRow(row: number): number {
    const seqId = this.#rows.get(row);
    assert.ok(seqId !== undefined, `row ${row} ended and never began`);
    this.#rows.delete(row);
    return seqId;
  }

  #placeOf(seqId: number): Place {
    return (this.#places.get(seqId) ?? this.#gone.get(seqId))!;
  }

  #isLive(seqId: number): boolean {
    return this.#places.has(seqId);
  }

  #isSameTenant(a: number, b: number): boolean {
    return this.#places.get(a)!.tenant === this.#places.get(b)!.tenant;
  }

  #isBefore(a: number, b: number): boolean {
    const [one, other] = [this.#placeOf(a), this.#placeOf(b)];
    return one.priority === other.priority ? one.arrival < other.arrival : one.priority < other.priority;
  }
}

/** Order of service: priority, then arrival. */
interface Place {
  tenant: string;
  priority: number;
  arrival: number;
}
