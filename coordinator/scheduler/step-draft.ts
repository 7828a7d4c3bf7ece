import { OUTPUT_LOGITS, OUTPUT_NONE, OUTPUT_SAMPLE, type NewRow, type StepPlan } from "../../proto/step.js";
import { assert } from "../../proto/errors.js";
import { send, type PlannedPart } from "./planned-step.js";
import { broken } from "./sequence-errors.js";
import type { Sequence } from "./sequence.js";

/** The step being planned: who is in it, and what is left of its budgets. */
export class StepDraft {
  readonly #maxBatchedTokens: number;
  #numTokensLeft: number;
  #numTokens = 0;
  #numDecodes = 0;
  #numLogitRowsLeft: number;
  #sequences: Sequence[] = [];

  constructor(maxBatchedTokens: number, maxLogitRows: number) {
    this.#maxBatchedTokens = maxBatchedTokens;
    this.#numTokensLeft = maxBatchedTokens;
    this.#numLogitRowsLeft = maxLogitRows;
  }

  /** Tokens in the step so far. */
  get numTokens(): number {
    return this.#numTokens;
  }

  /** Of these. */
  get numDecodes(): number {
    return this.#numDecodes;
  }

  get numTokensLeft(): number {
    return this.#numTokensLeft;
  }

  /** Sets the budget to `numTokens` in all, within maxBatchedTokens; what is in already stays. */
  limitTokens(numTokens: number): void {
    this.#numTokensLeft = Math.max(0, Math.min(numTokens, this.#maxBatchedTokens) - this.#numTokens);
  }

  /**
   * Most tokens of the sequence that this step may still take; blocks are the caller's care.
   * @param numCachedTokens those that it would not compute, were it admitted
   */
  chunkFor(sequence: Sequence, numCachedTokens = 0): number {
    const remaining = sequence.numRemainingTokens - numCachedTokens;
    const chunk = Math.min(remaining, this.#numTokensLeft);
    if (sequence.wantsLogits) {
      // A replay passes what was returned before in chunks of its own, so that no chunk is half wanted.
      const numReplayed = sequence.numReturnedLogits - sequence.numComputedTokens - numCachedTokens;
      return Math.min(chunk, numReplayed > 0 ? numReplayed : this.#numLogitRowsLeft);
    }
    // Without a row for its sample, or a mask for it, a prefill stops one token short of its end and a decode sits out.
    const cannotSample = this.#numLogitRowsLeft === 0 || sequence.lacksMask;
    return chunk === remaining && cannotSample ? Math.max(0, chunk - 1) : chunk;
  }

  add(sequence: Sequence, numTokens: number): void {
    if (sequence.numScheduledTokens > 0) throw broken(sequence, "is in the step already");
    schedule(sequence, numTokens);
    this.#numTokensLeft -= numTokens;
    this.#numTokens += numTokens;
    if (sequence.isDecoding) this.#numDecodes++;
    this.#numLogitRowsLeft -= numLogitRows(sequence);
    assert(this.#numTokensLeft >= 0 && this.#numLogitRowsLeft >= 0, "a step's budget was overdrawn");
    this.#sequences.push(sequence);
  }

  /** Takes a sequence out again, if it is in. */
  drop(sequence: Sequence): void {
    if (sequence.numScheduledTokens === 0) return;
    this.#numTokensLeft += sequence.numScheduledTokens;
    this.#numTokens -= sequence.numScheduledTokens;
    if (sequence.isDecoding) this.#numDecodes--;
    this.#numLogitRowsLeft += numLogitRows(sequence);
    schedule(sequence, 0);
    this.#sequences = this.#sequences.filter((other) => other !== sequence);
  }

  /** The sequences of the step, in the plan's order: decodes, prefills, admissions. */
  get sequences(): readonly Sequence[] {
    return this.#sequences;
  }

  /** Whether the ranks could go on by themselves after the step, with no look at a token by anybody else. */
  get canRunOn(): boolean {
    return this.#sequences.every((sequence) => sequence.scheduledOutput === OUTPUT_SAMPLE && !sequence.needsHost);
  }

  /** Ends the draft: what it asks of each sequence is on its way. */
  send(): PlannedPart[] {
    return this.#sequences.map(send);
  }

  /** After `send`: the step after it, in which every sequence decodes. */
  sendNext(): PlannedPart[] {
    for (const sequence of this.#sequences) schedule(sequence, 1);
    return this.send();
  }

  /**
   * The plan of the step. Token ids that are known are named; a decode whose token a step in flight will sample says
   * LAST_SAMPLED. Afterwards the ranks count as told of tables and rows.
   */
  toPlan(ids: {
    epoch: number;
    stepId: number;
    numGrantedSteps: number;
    followsStepId: number;
    numGroups: number;
    finishedRows: Int32Array;
  }): StepPlan {
    const columns = emptyColumns(this.#sequences.length, this.#numTokens);
    const newRows: NewRow[] = [];
    const deltas = Array.from({ length: ids.numGroups }, (): number[] => []);
    const masks: Int32Array[] = [];
    let at = 0;
    let index = 0;
    for (const sequence of this.#sequences) {
      writeColumns(columns, index++, sequence, at);
      at += sequence.numScheduledTokens;
      if (sequence.isRowNew) newRows.push(newRow(sequence));
      if (sequence.scheduledOutput === OUTPUT_SAMPLE) tellMask(sequence, masks);
      sequence.isRowNew = false;
      sequence.kv.tell(sequence.row, deltas);
    }
    const { epoch, stepId, numGrantedSteps, followsStepId, finishedRows } = ids;
    const blockDeltas = deltas.map((records) => Int32Array.from(records));
    return {
      epoch,
      stepId,
      numGrantedSteps,
      followsStepId,
      tokenPlacement: "replicated",
      ...columns,
      newRows,
      blockDeltas,
      finishedRows,
      masks: joined(masks),
    };
  }
}

function schedule(sequence: Sequence, numTokens: number): void {
  sequence.numScheduledTokens = numTokens;
  sequence.scheduledOutput = numTokens === 0 ? OUTPUT_NONE : outputOf(sequence);
}

/** What a scheduled sequence gives back: an OUTPUT_* value. */
function outputOf(sequence: Sequence): number {
  const { numScheduledTokens, numRemainingTokens, numComputedTokens } = sequence;
  if (sequence.wantsLogits) return numComputedTokens < sequence.numReturnedLogits ? OUTPUT_NONE : OUTPUT_LOGITS;
  return numScheduledTokens === numRemainingTokens ? OUTPUT_SAMPLE : OUTPUT_NONE;
}

function numLogitRows(sequence: Sequence): number {
  if (sequence.scheduledOutput === OUTPUT_LOGITS) return sequence.numScheduledTokens;
  return sequence.scheduledOutput === OUTPUT_SAMPLE ? 1 : 0;
}

type Columns = Pick<StepPlan, "tokenIds" | "positions" | "seqRows" | "queryStarts" | "seqLens" | "outputs">;

function emptyColumns(numSeqs: number, numTokens: number): Columns {
  return {
    tokenIds: new Int32Array(numTokens),
    positions: new Int32Array(numTokens),
    seqRows: new Int32Array(numSeqs),
    queryStarts: new Int32Array(numSeqs + 1),
    seqLens: new Int32Array(numSeqs),
    outputs: new Int32Array(numSeqs),
  };
}

function writeColumns(columns: Columns, index: number, sequence: Sequence, at: number): void {
  const { numComputedTokens, numScheduledTokens } = sequence;
  sequence.copyScheduledTokens(columns.tokenIds, at);
  for (let i = 0; i < numScheduledTokens; i++) columns.positions[at + i] = numComputedTokens + i;
  columns.seqRows[index] = sequence.row;
  columns.queryStarts[index + 1] = at + numScheduledTokens;
  columns.seqLens[index] = numComputedTokens + numScheduledTokens;
  columns.outputs[index] = sequence.scheduledOutput;
}

/** Masks stay with the row, so that only one that differs from the last is told. */
function tellMask(sequence: Sequence, records: Int32Array[]): void {
  const { row, mask, isRowNew, toldMask } = sequence;
  if (mask === null || (mask === toldMask && !isRowNew)) return;
  records.push(Int32Array.of(row, mask.form, mask.words.length), mask.words);
  sequence.toldMask = mask;
}

function joined(parts: readonly Int32Array[]): Int32Array {
  const whole = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function newRow(sequence: Sequence): NewRow {
  const { row, seqId, promptTokenIds, sampling } = sequence;
  return { row, seqId, numPromptTokens: promptTokenIds.length, sampling };
}
