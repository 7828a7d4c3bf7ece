import {
  FINISH_LENGTH,
  FINISH_NONE,
  FINISH_STOP,
  LAST_SAMPLED,
  MASK_BITS,
  MASK_IDS,
  NULL_BLOCK_ID,
  OUTPUT_LOGITS,
  OUTPUT_NONE,
  OUTPUT_SAMPLE,
  RUN_AHEAD_MAX,
  grantedPlan,
  type NewRow,
  type RowSampling,
  type StepPlan,
  type StepResult,
} from "../proto/step.js";
import type { StepTime } from "../native/binding.js";
import { assert, MoesaicError } from "../proto/errors.js";
import type { KvGroup, ProgramLimits } from "../plans/rank-program.js";
import type { CollectiveCount, Engine } from "./engine.js";

export interface FakeEngineOptions {
  epoch: number;
  vocabSize: number;
  limits: ProgramLimits;
  kvGroups: readonly Pick<KvGroup, "kind" | "window">[];
  /** Most rows of logits in one step. */
  maxLogitRows: number;
}

/**
 * An engine without a model: the next token is a hash of the tokens so far (`fakeToken`). It keeps the state that a real
 * one keeps, reads the tokens back through the block tables, and holds every plan to the contract of proto/step.ts.
 * A plan that breaks it throws MoesaicError internal; what the engine holds afterwards is not defined.
 */
export class FakeEngine implements Engine {
  readonly #options: FakeEngineOptions;
  /** (maxSequences) */
  readonly #rows: (FakeRow | null)[];
  /** (numBlocks * blockSize) token id in each slot, as a KV cache would have the token's keys. */
  readonly #slots: Int32Array;
  /** (numBlocks) what the block was given out for, and to whom. */
  readonly #uses: (BlockUse | null)[];
  #stepId = 0;
  #grantsEndId = 0;
  #numSteps = 0;
  #isClosed = false;

  constructor(options: FakeEngineOptions) {
    const { maxSequences, numBlocks, blockSize } = options.limits;
    this.#options = options;
    this.#rows = Array.from({ length: maxSequences }, () => null);
    this.#uses = Array.from({ length: numBlocks }, () => null);
    this.#slots = new Int32Array(numBlocks * blockSize).fill(-1);
  }

  async step(plan: StepPlan, onResult: (result: StepResult) => void = () => {}): Promise<StepResult | null> {
    if (this.isVoid(plan)) return null;
    for (let next = plan; ; next = grantedPlan(next)) {
      const result = this.stepNow(next);
      onResult(result);
      if (!result.runsOn) return result;
      // Whoever ends the grants is heard in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  endGrants(stepId: number): void {
    this.#grantsEndId = Math.max(this.#grantsEndId, stepId);
  }

  /** Whether the run that the plan was to go on with ended before. */
  isVoid({ followsStepId }: StepPlan): boolean {
    return followsStepId !== 0 && followsStepId !== this.#stepId;
  }

  /**
   * One step without a promise, for simulations; `grantedPlan` makes the next of its run.
   * @throws MoesaicError internal, failed_precondition after close
   */
  stepNow(plan: StepPlan): StepResult {
    if (this.#isClosed) throw new MoesaicError("failed_precondition", "the fake engine is closed; open another");
    this.#checkIds(plan);
    checkColumns(plan, this.#options);
    for (const row of plan.finishedRows) this.#forget(row);
    for (const newRow of plan.newRows) this.#begin(newRow, firstPosition(plan, newRow.row));
    this.#writeTables(plan.blockDeltas);
    this.#writeMasks(plan.masks);
    const sequences = this.#readSequences(plan);
    for (const sequence of sequences) this.#computeKv(sequence);
    this.#stepId = plan.stepId;
    this.#numSteps++;
    return this.#result(plan, sequences);
  }

  progress(): { counter: number; stepId: number; op: string } {
    return { counter: this.#numSteps, stepId: this.#stepId, op: "fake" };
  }

  stepTimes(afterStepId: number): StepTime[] {
    const isNew = this.#stepId > afterStepId;
    return isNew ? [{ stepId: this.#stepId, endedUsAgo: 0, engineUs: 1, collectiveUs: 0 }] : [];
  }

  expertTokens(): number[] {
    return [];
  }

  /** Alone there is no lead to follow; `FakeWorld` joins engines. */
  followLead(): Promise<void> {
    return Promise.resolve();
  }

  endEpoch(): Promise<void> {
    return Promise.resolve();
  }

  abort(): void {
    this.#isClosed = true;
  }

  collectives(): CollectiveCount[] {
    return [];
  }

  close(): void {
    this.#isClosed = true;
  }

  #checkIds(plan: StepPlan): void {
    const { epoch, stepId, numGrantedSteps, outputs } = plan;
    assert(epoch === this.#options.epoch, `plan of epoch ${epoch} in epoch ${this.#options.epoch}`);
    assert(stepId > this.#stepId, `step ${stepId} after step ${this.#stepId}`);
    assert(!this.isVoid(plan), `step ${stepId} follows step ${plan.followsStepId}, not step ${this.#stepId}`);
    assert(numGrantedSteps >= 0 && numGrantedSteps <= RUN_AHEAD_MAX, `${numGrantedSteps} granted steps`);
    const canRunOn = outputs.every((output) => output === OUTPUT_SAMPLE);
    assert(numGrantedSteps === 0 || canRunOn, "granted steps after one in which not all rows sample");
  }

  // ---- rows and tables

  #forget(row: number): void {
    assert(this.#rows[row] !== null && this.#rows[row] !== undefined, `row ${row} ended and was not live`);
    this.#rows[row] = null;
  }

  /** @param numCached tokens whose KV the row's blocks have from other rows */
  #begin({ row, numPromptTokens, sampling }: NewRow, numCached: number): void {
    const { limits, kvGroups } = this.#options;
    assert(this.#rows[row] === null, `row ${row} is new and live, or no row`);
    assert(numCached % limits.blockSize === 0, `row ${row}: begins at position ${numCached}, inside a block`);
    assert(numPromptTokens > 0 && numPromptTokens <= limits.maxSeqLen, `row ${row}: ${numPromptTokens} prompt tokens`);
    assert(sampling.maxSeqLen <= limits.maxSeqLen, `row ${row}: maxSeqLen ${sampling.maxSeqLen}`);
    const tables = kvGroups.map((): number[] => []);
    const counts = { numPromptTokens, numCached, numComputed: numCached };
    this.#rows[row] = { row, ...counts, sampling, tables, lastSampled: -1, isEnded: false, mask: null };
  }

  #writeTables(blockDeltas: readonly Int32Array[]): void {
    assert(blockDeltas.length === this.#options.kvGroups.length, `deltas for ${blockDeltas.length} KV groups`);
    for (const [group, records] of blockDeltas.entries()) {
      for (let at = 0; at < records.length; at += 3 + records[at + 2]!) this.#writeRecord(group, records, at);
    }
  }

  #writeRecord(group: number, records: Int32Array, at: number): void {
    const [row, first, count] = records.subarray(at, at + 3);
    assert(count !== undefined && count > 0, `a delta record of ${count} blocks`);
    assert(at + 3 + count <= records.length, "a delta record was cut short");
    const state = this.#liveRow(row!);
    const table = state.tables[group]!;
    // A cached prefix has no blocks left of its window.
    if (table.length === 0 && first! > 0 && first! <= this.#firstLiveIndex(state, group)) {
      table.push(...Array.from({ length: first! }, () => NULL_BLOCK_ID));
    }
    assert(
      first === table.length,
      `row ${row}, group ${group}: blocks from ${first} on, the table has ${table.length}`,
    );
    for (const blockId of records.subarray(at + 3, at + 3 + count)) {
      assert(
        blockId > NULL_BLOCK_ID && blockId < this.#options.limits.numBlocks,
        `block ${blockId} is not of the pool`,
      );
      if (table.length * this.#options.limits.blockSize < state.numCached) this.#share(blockId, state, group);
      else this.#claim(blockId, state, group);
      table.push(blockId);
    }
  }

  #writeMasks(records: Int32Array): void {
    for (let at = 0; at < records.length;) {
      const [row, form, count] = records.subarray(at, at + 3);
      assert(count !== undefined && at + 3 + count <= records.length, "a mask record was cut short");
      this.#liveRow(row!).mask = allowedIds(form!, records.subarray(at + 3, at + 3 + count), this.#options.vocabSize);
      at += 3 + count;
    }
  }

  /** A block of a cached prefix is filled in the same group and place. */
  #share(blockId: number, row: FakeRow, group: number): void {
    const use = this.#uses[blockId]!;
    const index = row.tables[group]!.length;
    const isSame = use !== null && use.group === group && use.index === index;
    assert(isSame, `row ${row.row}, group ${group}: block ${blockId} was not filled for entry ${index}`);
    use.rows = [...use.rows.filter((user) => this.#rows[user.row] === user), row];
  }

  /** A block is free when its users ended, or will never read it again. */
  #claim(blockId: number, row: FakeRow, group: number): void {
    const { blockSize } = this.#options.limits;
    const { rows, group: groupBefore, index } = this.#uses[blockId] ?? { rows: [], group: 0, index: 0 };
    for (const user of rows) {
      if (this.#rows[user.row] !== user) continue;
      const isDead = index < this.#firstLiveIndex(user, groupBefore);
      assert(isDead, `block ${blockId} was given to row ${row.row} and is in use by row ${user.row}`);
      user.tables[groupBefore]![index] = NULL_BLOCK_ID;
    }
    this.#uses[blockId] = { rows: [row], group, index: row.tables[group]!.length };
    this.#slots.fill(-1, blockId * blockSize, (blockId + 1) * blockSize);
  }

  /** Table index of the first block that the row's next token reads. */
  #firstLiveIndex({ numComputed }: FakeRow, group: number): number {
    const { window } = this.#options.kvGroups[group]!;
    return window === 0 ? 0 : Math.floor(Math.max(0, numComputed - window + 1) / this.#options.limits.blockSize);
  }

  #liveRow(row: number): FakeRow {
    const state = this.#rows[row];
    assert(state !== null && state !== undefined, `row ${row} is not live`);
    return state;
  }

  // ---- one step

  #readSequences(plan: StepPlan): FakeSequence[] {
    assert(new Set(plan.seqRows).size === plan.seqRows.length, "a row occurs twice in a step");
    return Array.from(plan.seqRows, (rowId, index) => {
      const row = this.#liveRow(rowId);
      const begin = plan.queryStarts[index]!;
      const end = plan.queryStarts[index + 1]!;
      checkPositions(plan, row, begin, end);
      checkLength(plan, row, index, end - begin);
      const tokenIds = plan.tokenIds.slice(begin, end);
      this.#resolveTokens(row, tokenIds);
      return { row, tokenIds, output: plan.outputs[index]! };
    });
  }

  /** A plan that was made before a row's end was known says LAST_SAMPLED; who names a token knew of the end. */
  #resolveTokens(row: FakeRow, tokenIds: Int32Array): void {
    assert(!row.isEnded || tokenIds[0] === LAST_SAMPLED, `row ${row.row} has ended and is still in use`);
    for (let i = 0; i < tokenIds.length; i++) {
      const isNext = i === 0 && row.lastSampled >= 0;
      if (tokenIds[i] === LAST_SAMPLED) {
        assert(isNext, `row ${row.row}: the last sampled token is not next`);
        tokenIds[i] = row.lastSampled;
      }
      const tokenId = tokenIds[i]!;
      assert(tokenId >= 0 && tokenId < this.#options.vocabSize, `row ${row.row}: token id ${tokenId}`);
      assert(
        !isNext || tokenId === row.lastSampled,
        `row ${row.row}: token ${tokenId}, sampled was ${row.lastSampled}`,
      );
    }
    row.lastSampled = -1;
  }

  #computeKv({ row, tokenIds }: FakeSequence): void {
    const seqLen = row.numComputed + tokenIds.length;
    for (const group of this.#options.kvGroups.keys()) {
      for (const [i, tokenId] of tokenIds.entries()) this.#slots[this.#slot(row, group, row.numComputed + i)] = tokenId;
    }
    this.#checkWindows(row, seqLen);
    row.numComputed = seqLen;
  }

  /** Every group must give back the sequence's own tokens in all of what this step's queries see. */
  #checkWindows(row: FakeRow, seqLen: number): void {
    for (const [group, { window }] of this.#options.kvGroups.entries()) {
      const begin = window === 0 ? 0 : Math.max(0, row.numComputed - window + 1);
      for (let position = begin; position < seqLen; position++) {
        const found = this.#slots[this.#slot(row, group, position)]!;
        assert(found >= 0, `row ${row.row}, group ${group}: nothing was computed for position ${position}`);
        const wanted = this.#slots[this.#slot(row, 0, position)];
        assert(found === wanted, `row ${row.row}, group ${group}: another token at position ${position}`);
      }
    }
  }

  #slot(row: FakeRow, group: number, position: number): number {
    const { blockSize } = this.#options.limits;
    const index = Math.floor(position / blockSize);
    const blockId = row.tables[group]![index];
    assert(blockId !== undefined, `row ${row.row}, group ${group}: no block for position ${position}`);
    assert(blockId !== NULL_BLOCK_ID, `row ${row.row}, group ${group}: the null block at position ${position}`);
    const use = this.#uses[blockId]!;
    const isOwn = use !== null && use.rows.includes(row) && use.group === group && use.index === index;
    assert(isOwn, `row ${row.row}, group ${group}: block ${blockId} at position ${position} is another's`);
    return blockId * blockSize + (position % blockSize);
  }

  #tokensOf(row: FakeRow, numTokens: number): Int32Array {
    return Int32Array.from({ length: numTokens }, (_, position) => this.#slots[this.#slot(row, 0, position)]!);
  }

  // ---- results

  #result(plan: StepPlan, sequences: readonly FakeSequence[]): StepResult {
    const sampled = sequences.filter(({ output }) => output === OUTPUT_SAMPLE).map(({ row }) => this.#sample(row));
    const numTopLogprobs = Math.max(0, ...sampled.map(({ row }) => row.sampling.numTopLogprobs));
    const top = sampled.map(({ logits, row }) => topTokens(logits, row.sampling.numTopLogprobs, numTopLogprobs));
    const hasEnded = sampled.some(({ finish }) => finish !== FINISH_NONE);
    return {
      epoch: plan.epoch,
      stepId: plan.stepId,
      seqRows: Int32Array.from(sampled, ({ row }) => row.row),
      tokenIds: Int32Array.from(sampled, ({ tokenId }) => tokenId),
      finishes: Int32Array.from(sampled, ({ finish }) => finish),
      logprobs: Float32Array.from(sampled, ({ logits, tokenId }) => logprobOf(logits, tokenId)),
      numTopLogprobs,
      topTokenIds: Int32Array.from(top.flatMap(({ tokenIds }) => tokenIds)),
      topLogprobs: Float32Array.from(top.flatMap(({ logprobs }) => logprobs)),
      logits: this.#logits(sequences),
      engineUs: 0,
      runsOn: plan.numGrantedSteps > 0 && plan.stepId >= this.#grantsEndId && !hasEnded,
    };
  }

  #sample(row: FakeRow): FakeSample {
    const tokenIds = this.#tokensOf(row, row.numComputed);
    const { vocabSize } = this.#options;
    const tokenId = fakeToken(row.sampling, tokenIds, vocabSize, row.mask);
    const finish = finishOf(row, tokenId);
    row.lastSampled = tokenId;
    row.isEnded = finish !== FINISH_NONE;
    const logits = row.sampling.numTopLogprobs < 0 ? null : fakeLogits(row.sampling, tokenIds, vocabSize);
    return { row, tokenId, finish, logits };
  }

  #logits(sequences: readonly FakeSequence[]): Float32Array {
    const { vocabSize } = this.#options;
    const wanted = sequences.filter(({ output }) => output === OUTPUT_LOGITS);
    const rows = wanted.flatMap(({ row, tokenIds }) => {
      const all = this.#tokensOf(row, row.numComputed);
      const begin = row.numComputed - tokenIds.length;
      return Array.from(tokenIds, (_, i) => fakeLogits(row.sampling, all.subarray(0, begin + i + 1), vocabSize));
    });
    const logits = new Float32Array(rows.length * vocabSize);
    for (const [index, values] of rows.entries()) logits.set(values, index * vocabSize);
    return logits;
  }
}

/**
 * The token after `tokenIds`: a hash of the seed and all of them, moved on past the stop ids while the sequence is
 * shorter than minSeqLen. With a mask the hash picks one of the allowed ids.
 */
export function fakeToken(
  { seed, minSeqLen, stopTokenIds }: Pick<RowSampling, "seed" | "minSeqLen" | "stopTokenIds">,
  tokenIds: ArrayLike<number>,
  vocabSize: number,
  allowed: readonly number[] | null = null,
): number {
  if (allowed !== null) return allowed[hash(seed, tokenIds) % allowed.length]!;
  let tokenId = hash(seed, tokenIds) % vocabSize;
  if (tokenIds.length >= minSeqLen) return tokenId;
  for (let tries = 0; tries < vocabSize && stopTokenIds.includes(tokenId); tries++) tokenId = (tokenId + 1) % vocabSize;
  return tokenId;
}

/** The logits after `tokenIds`: numbers in [0, 1) from the same hash, and 2 at the token that `fakeToken` picks. */
export function fakeLogits(
  sampling: Pick<RowSampling, "seed" | "minSeqLen" | "stopTokenIds">,
  tokenIds: ArrayLike<number>,
  vocabSize: number,
): Float32Array {
  const state = hash(sampling.seed, tokenIds);
  const logits = Float32Array.from({ length: vocabSize }, (_, tokenId) => mix(state, tokenId) / 2 ** 32);
  logits[fakeToken(sampling, tokenIds, vocabSize)] = 2;
  return logits;
}

interface FakeRow {
  row: number;
  numPromptTokens: number;
  /** Tokens whose KV came from other rows. */
  numCached: number;
  sampling: RowSampling;
  /** Block ids per KV group. */
  tables: number[][];
  numComputed: number;
  /** The token sampled last while it is not computed yet, else -1. */
  lastSampled: number;
  /** A sample ended it. */
  isEnded: boolean;
  /** Token ids that may be sampled; null: all. */
  mask: number[] | null;
}

interface BlockUse {
  /** Some may have ended. */
  rows: FakeRow[];
  group: number;
  /** In the rows' tables. */
  index: number;
}

interface FakeSequence {
  row: FakeRow;
  tokenIds: Int32Array;
  output: number;
}

interface FakeSample {
  row: FakeRow;
  tokenId: number;
  finish: number;
  /** null when the row wants no logprobs. */
  logits: Float32Array | null;
}

function allowedIds(form: number, words: Int32Array, vocabSize: number): number[] {
  assert(form === MASK_IDS || form === MASK_BITS, `unknown form of mask ${form}`);
  const ids = form === MASK_IDS ? [...words] : idsOfBits(words, vocabSize);
  assert(ids.length > 0, "a mask allows no token");
  assert(
    ids.every((id, index) => id > (ids[index - 1] ?? -1) && id < vocabSize),
    "ids of a mask do not rise within the vocabulary",
  );
  return ids;
}

function idsOfBits(words: Int32Array, vocabSize: number): number[] {
  assert(words.length === Math.ceil(vocabSize / 32), `a mask of ${words.length} words`);
  return Array.from({ length: vocabSize }, (_, id) => id).filter((id) => (words[id >>> 5]! >>> (id & 31)) & 1);
}

function checkColumns(plan: StepPlan, { limits, maxLogitRows }: FakeEngineOptions): void {
  const { tokenIds, positions, seqRows, queryStarts, seqLens, outputs } = plan;
  const numSeqs = seqRows.length;
  assert(numSeqs > 0, "a plan without sequences");
  assert(tokenIds.length <= limits.maxBatchedTokens, `${tokenIds.length} tokens in a step`);
  assert(positions.length === tokenIds.length, `${positions.length} positions for ${tokenIds.length} tokens`);
  assert(queryStarts.length === numSeqs + 1 && queryStarts[0] === 0, "queryStarts has the wrong length or start");
  assert(queryStarts[numSeqs] === tokenIds.length, "queryStarts does not end at the number of tokens");
  assert(seqLens.length === numSeqs && outputs.length === numSeqs, "seqLens or outputs has the wrong length");
  let numLogitRows = 0;
  for (let i = 0; i < numSeqs; i++) {
    const numTokens = queryStarts[i + 1]! - queryStarts[i]!;
    assert(numTokens > 0, `sequence ${i} of the step has ${numTokens} tokens`);
    numLogitRows += logitRowsOf(outputs[i]!, numTokens);
  }
  assert(numLogitRows <= maxLogitRows, `${numLogitRows} rows of logits in a step, at most ${maxLogitRows}`);
}

function logitRowsOf(output: number, numTokens: number): number {
  assert([OUTPUT_NONE, OUTPUT_SAMPLE, OUTPUT_LOGITS].includes(output), `unknown output ${output}`);
  if (output === OUTPUT_LOGITS) return numTokens;
  return output === OUTPUT_SAMPLE ? 1 : 0;
}

/** Where a new row begins: behind the tokens that it need not compute. */
function firstPosition({ seqRows, queryStarts, positions }: StepPlan, row: number): number {
  const index = seqRows.indexOf(row);
  return index < 0 ? 0 : positions[queryStarts[index]!]!;
}

function checkPositions(plan: StepPlan, row: FakeRow, begin: number, end: number): void {
  for (let i = begin; i < end; i++) {
    const wanted = row.numComputed + i - begin;
    assert(plan.positions[i] === wanted, `row ${row.row}: position ${plan.positions[i]}, ${wanted} is next`);
  }
}

function checkLength(plan: StepPlan, row: FakeRow, index: number, numTokens: number): void {
  const seqLen = row.numComputed + numTokens;
  assert(plan.seqLens[index] === seqLen, `row ${row.row}: seqLen ${plan.seqLens[index]}, ${seqLen} is right`);
  const roomForSample = plan.outputs[index] === OUTPUT_SAMPLE ? 1 : 0;
  assert(seqLen + roomForSample <= row.sampling.maxSeqLen, `row ${row.row}: ${seqLen} tokens are past its maxSeqLen`);
  assert(roomForSample === 0 || seqLen >= row.numPromptTokens, `row ${row.row} samples inside its prompt`);
}

function finishOf({ sampling, numComputed }: FakeRow, tokenId: number): number {
  const numTokens = numComputed + 1;
  if (numTokens > sampling.minSeqLen && sampling.stopTokenIds.includes(tokenId)) return FINISH_STOP;
  return numTokens >= sampling.maxSeqLen ? FINISH_LENGTH : FINISH_NONE;
}

function logprobOf(logits: Float32Array | null, tokenId: number): number {
  if (logits === null) return NaN;
  return logits[tokenId]! - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
}

function topTokens(
  logits: Float32Array | null,
  count: number,
  width: number,
): { tokenIds: number[]; logprobs: number[] } {
  const best = logits === null ? [] : Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const tokenIds = Array.from({ length: width }, (_, i) => (i < count ? (best[i] ?? -1) : -1));
  return { tokenIds, logprobs: tokenIds.map((tokenId) => (tokenId < 0 ? NaN : logprobOf(logits, tokenId))) };
}

function hash(seed: number, tokenIds: ArrayLike<number>): number {
  const running = new RunningHash(seed);
  for (let i = 0; i < tokenIds.length; i++) running.add(tokenIds[i]!);
  return running.state;
}

/** FNV-1a over a seed and tokens, stirred at each: of which `fakeToken` is the rest, for whoever follows a sequence token by token. */
export class RunningHash {
  /** An unsigned 32-bit number. */
  state: number;

  constructor(seed: number) {
    this.state = mix(mix(0x811c9dc5, seed % 2 ** 32), Math.floor(seed / 2 ** 32));
  }

  add(tokenId: number): void {
    this.state = mix(this.state, tokenId);
  }
}

function mix(state: number, value: number): number {
  let mixed = Math.imul(state ^ value, 0x01000193);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
