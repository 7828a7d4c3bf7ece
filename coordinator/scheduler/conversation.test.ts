import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import {
  FINISH_LENGTH,
  FINISH_NONE,
  FINISH_STOP,
  LAST_SAMPLED,
  OUTPUT_LOGITS,
  OUTPUT_SAMPLE,
  grantedPlan,
  type StepPlan,
  type StepResult,
} from "../../proto/step.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { GREEDY } from "../../proto/step-fixture.js";
import { keyedBlockHash } from "./block-hash.js";
import { Scheduler } from "./scheduler.js";
import type { Policy } from "./policy.js";
import type { SchedulerConfig } from "./scheduler-config.js";
import type { FinishReason } from "./sequence.js";
import type { SequenceOutput } from "./sequence-output.js";

// Each file of testdata is a conversation with the scheduler: a command per line, and behind `# ->` what came of it. The
// test says the commands again and compares; UPDATE_GOLDEN=1 writes the answers down. After every command the
// scheduler recounts itself. Commands and their defaults are those of class Conversation.
describe("Scheduler conversation", () => {
  const folder = join(repositoryRoot(), "coordinator/scheduler/testdata");
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".txt"))) {
    it(name.replace(".txt", "").replaceAll("-", " "), () => {
      const path = join(folder, name);
      const text = readFileSync(path, "utf8");
      const said = converse(text);
      if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(path, said);
      else assert.equal(said, text);
    });
  }
});

const ANSWER = "# ->";
const COMMAND_COLUMNS = 32;

/** The text with every answer made anew. */
function converse(text: string): string {
  const conversation = new Conversation();
  const lines = text.split("\n").filter((line) => !line.trimStart().startsWith(ANSWER));
  return lines.flatMap((line) => answered(conversation, line)).join("\n");
}

function answered(conversation: Conversation, line: string): string[] {
  const command = line.split(ANSWER)[0]!.trimEnd();
  if (command === "" || command.startsWith("#")) return [command];
  const [first, ...others] = conversation.say(command);
  if (first === undefined) return [command];
  const margin = " ".repeat(COMMAND_COLUMNS);
  return [
    `${command.padEnd(COMMAND_COLUMNS)}${ANSWER} ${first}`,
    ...others.map((text) => `${margin}${ANSWER} ${text}`),
  ];
}

/** One scheduler and, in place of ranks, what the file says they answer. Token ids are 100 * seq + position. */
class Conversation {
  #scheduler = new Scheduler(configOf(new Map()), silentLogger);
  /** Plans without a result, the oldest first, with the rows as the ranks have them then. */
  #inFlight: { plan: StepPlan; rows: Map<number, Row> }[] = [];
  #lastResult: StepResult | null = null;
  #rows = new Map<number, Row>();
  #nowMs = 0;

  /** Runs one command and returns what to write behind it. */
  say(command: string): string[] {
    const [verb, ...words] = command.split(/\s+/);
    const args = new Map(words.map((word) => word.split("=") as [string, string]));
    this.#nowMs = number(args, "now", this.#nowMs);
    const mustEndBefore = this.#scheduler.mustEndRun;
    const answer = this.#answer(verb!, args, words);
    this.#scheduler.check();
    if (this.#scheduler.mustEndRun && !mustEndBefore) answer.push("the run must end");
    return [...answer, ...this.#scheduler.takeEnded().map(outputText)];
  }

  #answer(verb: string, args: Map<string, string>, words: readonly string[]): string[] {
    switch (verb) {
      // config window=0 (full attention only) blocks=32 block=4 budget=16 sequences=4 logitRows=8 maxSeqLen=64 waiting=8 margin=0 ahead=0
      //   policy=fair step=none ttft=none (targets in ms) fixed=1 perToken=1 (expected ms of a step) weight-NAME=1
      //   cache=(none) on, or collide: the prefix cache, with every block in one bucket
      case "config":
        this.#scheduler = new Scheduler(configOf(args), silentLogger);
        return [];
      // add seq=1 prompt=5 max=2 tenant=default priority=0 deadline=none logits=no text=no token=(instead of the first prompt token)
      //   as=(a sequence whose first tokens it has) shared=(how many of them) handed=no
      case "add":
        return this.#add(args);
      // step now=10
      case "step":
        return this.#step();
      // result (cut) (seq=1 token=105 finish=stop)...   of the oldest step; cut: its run is ended. What is left out is made up:
      // 100 * seq + position, no stop
      case "result":
        return this.#result(words);
      // again: the last result once more
      case "again":
        return this.#scheduler.apply(this.#lastResult!, this.#nowMs).map(outputText);
      case "abort": {
        const finish = (args.get("finish") ?? "abort") as FinishReason;
        return this.#scheduler.abort(number(args, "seq"), finish) ? [] : ["not found"];
      }
      case "reset":
        this.#scheduler.reset(number(args, "epoch"));
        return [];
      case "stats":
        return [statsText(this.#scheduler)];
      case "cache":
        return [cacheText(this.#scheduler)];
      default:
        throw new Error(`unknown command ${verb}`);
    }
  }

  #add(args: Map<string, string>): string[] {
    const seqId = number(args, "seq");
    const numPrompt = number(args, "prompt");
    const [otherId, numShared] = [number(args, "as", 0), number(args, "shared", 0)];
    const promptTokenIds = Array.from(
      { length: numPrompt },
      (_, position) => 100 * (position < numShared ? otherId : seqId) + position,
    );
    if (args.has("token")) promptTokenIds[0] = number(args, "token");
    const sampling = { ...GREEDY, maxSeqLen: numPrompt + number(args, "max", 4) };
    const deadlineMs = args.has("deadline") ? number(args, "deadline") : null;
    const priority = number(args, "priority", 0);
    const wantsLogits = args.get("logits") === "yes";
    const endsByText = args.get("text") === "yes";
    const handedOver = args.get("handed") === "yes" ? { outputTokenIds: [] } : {};
    try {
      const tenant = args.get("tenant") ?? "default";
      const named = { seqId, requestId: `r${seqId}`, promptTokenIds, sampling, ...handedOver };
      const spec = { ...named, tenant, priority, deadlineMs, wantsLogits, endsByText };
      this.#scheduler.add(spec, this.#nowMs);
      return [];
    } catch (caught) {
      const error = MoesaicError.from(caught);
      const retry = error.retryAfterMs === undefined ? "" : ` (retry after ${error.retryAfterMs} ms)`;
      return [`${error.code}: ${error.describe()}${retry}`];
    }
  }

  #step(): string[] {
    const plan = this.#scheduler.mayPlan ? this.#scheduler.schedule(this.#nowMs) : null;
    if (plan === null) return ["nothing"];
    for (const { row, seqId, sampling } of plan.newRows) this.#rows.set(row, { seqId, maxSeqLen: sampling.maxSeqLen });
    this.#inFlight.push({ plan, rows: new Map(this.#rows) });
    return this.#planText(plan);
  }

  #result(words: readonly string[]): string[] {
    const { plan, rows } = this.#inFlight.shift()!;
    const result = emptyResult(plan, 1000 * countOutputs(plan, OUTPUT_LOGITS));
    const sampled = [...plan.seqRows.keys()].filter((index) => plan.outputs[index] === OUTPUT_SAMPLE);
    const given = readResults(words);
    result.seqRows = Int32Array.from(sampled, (index) => plan.seqRows[index]!);
    result.tokenIds = Int32Array.from(sampled, (index) => {
      const { seqId } = rows.get(plan.seqRows[index]!)!;
      return given.get(seqId)?.tokenId ?? 100 * seqId + plan.seqLens[index]!;
    });
    result.finishes = Int32Array.from(sampled, (index) => {
      const { seqId, maxSeqLen } = rows.get(plan.seqRows[index]!)!;
      if (given.get(seqId)?.isStop === true) return FINISH_STOP;
      return plan.seqLens[index]! + 1 === maxSeqLen ? FINISH_LENGTH : FINISH_NONE;
    });
    result.runsOn = plan.numGrantedSteps > 0 && !words.includes("cut") && result.finishes.every((each) => each === 0);
    if (result.runsOn) this.#inFlight.unshift({ plan: grantedPlan(plan), rows });
    else if (plan.numGrantedSteps > 0) this.#inFlight = [];
    this.#lastResult = result;
    return this.#scheduler.apply(result, this.#nowMs).map(outputText);
  }

  #planText(plan: StepPlan): string[] {
    const newRows = new Set(plan.newRows.map(({ row }) => row));
    const lines = Array.from(plan.seqRows, (row, index) => {
      const tokens = plan.tokenIds.subarray(plan.queryStarts[index], plan.queryStarts[index + 1]);
      const begin = plan.seqLens[index]! - tokens.length;
      const what = [`seq=${this.#rows.get(row)!.seqId}`, `row=${row}${newRows.has(row) ? " new" : ""}`];
      what.push(`tokens=${begin}..${begin + tokens.length - 1} [${rangeText(tokens)}]`);
      for (const [group, records] of plan.blockDeltas.entries()) what.push(...deltaText(records, row, group));
      what.push(["", "sample", "logits"][plan.outputs[index]!]!);
      return what.join(" ").trimEnd();
    });
    const finished = plan.finishedRows.length === 0 ? "" : `, rows ended [${plan.finishedRows.join(" ")}]`;
    const granted = plan.numGrantedSteps === 0 ? "" : `, then ${plan.numGrantedSteps} more steps`;
    const behind = plan.followsStepId === 0 ? "" : ` behind step ${plan.followsStepId}`;
    const name = `step ${plan.epoch}.${plan.stepId}${behind}: ${plan.tokenIds.length} tokens${granted}${finished}`;
    return [name, ...lines];
  }
}

interface Row {
  seqId: number;
  maxSeqLen: number;
}

function configOf(args: Map<string, string>): SchedulerConfig {
  const window = number(args, "window", 8);
  const full = { kind: "full", window: 0 } as const;
  return {
    vocabSize: 1000,
    maxSeqLen: number(args, "maxSeqLen", 64),
    blockSize: number(args, "block", 4),
    numBlocks: number(args, "blocks", 32),
    kvGroups: window === 0 ? [full] : [full, { kind: "sliding", window }],
    maxBatchedTokens: number(args, "budget", 16),
    maxSequences: number(args, "sequences", 4),
    maxLogitRows: number(args, "logitRows", 8),
    maxWaiting: number(args, "waiting", 8),
    runAhead: number(args, "ahead", 0),
    admissionMargin: number(args, "margin", 0),
    policy: (args.get("policy") ?? "fair") as Policy,
    tenantWeights: weightsOf(args),
    targetStepMs: args.has("step") ? number(args, "step") : null,
    targetTtftMs: args.has("ttft") ? number(args, "ttft") : null,
    stepCost: { fixedMs: number(args, "fixed", 1), perTokenMs: number(args, "perToken", 1) },
    // Off unless a conversation is about it: then block ids are easier to follow. "collide": all blocks in one bucket.
    ...(args.has("cache") ? { blockHash: args.get("cache") === "collide" ? () => 7 : keyedBlockHash([1, 2]) } : {}),
  };
}

function weightsOf(args: Map<string, string>): Record<string, number> {
  const named = [...args.keys()].filter((name) => name.startsWith("weight-"));
  return Object.fromEntries(named.map((name) => [name.slice("weight-".length), number(args, name)]));
}

function number(args: Map<string, string>, name: string, otherwise?: number): number {
  const text = args.get(name);
  const value = text === undefined ? otherwise : Number(text);
  assert.ok(value !== undefined && Number.isFinite(value), `${name}=${text}`);
  return value;
}

function readResults(words: readonly string[]): Map<number, { tokenId?: number; isStop: boolean }> {
  const results = new Map<number, { tokenId?: number; isStop: boolean }>();
  let last: { tokenId?: number; isStop: boolean } = { isStop: false };
  for (const word of words) {
    const [name, value] = word.split("=");
    if (name === "seq") results.set(Number(value), (last = { isStop: false }));
    if (name === "token") last.tokenId = Number(value);
    if (name === "finish") last.isStop = value === "stop";
  }
  return results;
}

function emptyResult({ epoch, stepId }: StepPlan, numLogits: number): StepResult {
  const none = new Int32Array(0);
  const columns = { seqRows: none, tokenIds: none, finishes: none, topTokenIds: none };
  const floats = {
    logprobs: new Float32Array(0),
    topLogprobs: new Float32Array(0),
    logits: new Float32Array(numLogits),
  };
  return { epoch, stepId, ...columns, ...floats, numTopLogprobs: 0, engineUs: 0, runsOn: false };
}

function countOutputs(plan: StepPlan, output: number): number {
  return plan.outputs.reduce((sum, value, index) => {
    return value === output ? sum + plan.queryStarts[index + 1]! - plan.queryStarts[index]! : sum;
  }, 0);
}

/** `3 4 5 9` as `3-5 9`. */
function rangeText(values: Int32Array): string {
  const ranges: [number, number][] = [];
  for (const value of values) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === value) last[1] = value;
    else ranges.push([value, value]);
  }
  return ranges.map(([first, last]) => (first === last ? nameOf(first) : `${first}-${last}`)).join(" ");
}

function nameOf(tokenId: number): string {
  return tokenId === LAST_SAMPLED ? "last sampled" : `${tokenId}`;
}

function deltaText(records: Int32Array, row: number, group: number): string[] {
  for (let at = 0; at < records.length; at += 3 + records[at + 2]!) {
    if (records[at] !== row) continue;
    const blockIds = records.subarray(at + 3, at + 3 + records[at + 2]!);
    return [`${["full", "sliding"][group]}@${records[at + 1]}=[${rangeText(blockIds)}]`];
  }
  return [];
}

function outputText(output: SequenceOutput): string {
  const what = [`seq=${output.seqId}`];
  if (output.tokenId !== undefined) what.push(`token=${output.tokenId}`);
  if (output.logits !== undefined) what.push(`logits=${output.logits.position}+${output.logits.numTokens}`);
  if (output.finish !== undefined) what.push(`finish=${output.finish}`);
  if (output.error !== undefined) what.push(`(${output.error.code}: ${output.error.message})`);
  return what.join(" ");
}

function statsText(scheduler: Scheduler): string {
  const { numBlocksUsed, numBlocksFree, numBlocksTotal, ...counts } = scheduler.stats();
  const blocks = `full ${numBlocksUsed.full} sliding ${numBlocksUsed.sliding} free ${numBlocksFree} of ${numBlocksTotal}`;
  const { numRunning, numWaiting, numPreemptions, numScheduledTokens } = counts;
  return `running ${numRunning} waiting ${numWaiting} blocks ${blocks} preemptions ${numPreemptions} tokens ${numScheduledTokens}`;
}

function cacheText(scheduler: Scheduler): string {
  const { numBlocks, first, replay } = scheduler.stats().prefixCache;
  const use = ({ numTokens, numHitTokens }: typeof first): string => `${numHitTokens} of ${numTokens} tokens`;
  return `${numBlocks} blocks, hits ${use(first)}, of replays ${use(replay)}`;
}

/** Tests run from a build folder; their data stay with the sources. */
function repositoryRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}
