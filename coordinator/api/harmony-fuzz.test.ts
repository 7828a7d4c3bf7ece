import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ManualClock } from "../../proto/clock.js";
import { v1 } from "../../proto/messages.js";
import type { OutputListener, SequenceRunner } from "../engine-loop.js";
import type { SequenceSpec } from "../scheduler/sequence.js";
import { HarmonyText } from "./choice-text.js";
import { Generation } from "./generation.js";
import type { RequestContext } from "./request-context.js";
import { parseSamplingParams } from "./sampling-params.js";
import type { ChatMessage } from "./text/chat-message.js";
import { loadDemoTokenizer, loadGoldens } from "./text/demo-model.js";
import { HarmonyStreams } from "./text/harmony-streams.js";
import { type HarmonyTokenIds, harmonyTokenIds, renderHarmony } from "./text/harmony.js";
import type { Tokenizer } from "./text/tokenizer.js";

const NUM_STREAMS = process.env["MOESAIC_LONG"] === "1" ? 100_000 : 4_000;
const { REASONING, CONTENT, TOOL_CALL } = v1.TextDelta.Kind;

describe("a chat's completion, whatever its token ids", () => {
  let tokenizer: Tokenizer;
  let harmony: HarmonyTokenIds;
  let completions: number[][];
  before(async () => {
    tokenizer = await loadDemoTokenizer();
    harmony = harmonyTokenIds(tokenizer)!;
    completions = (await loadGoldens()).map(({ generatedTokenIds }) => generatedTokenIds);
  });

  it(`ends in order: ${NUM_STREAMS} random and damaged streams, without an error or a control token in a text`, async () => {
    const streams = new HarmonyStreams(tokenizer, harmony, completions, 17);
    const answer = await answerer();
    await run(NUM_STREAMS / 10, async () => void (await answer(streams.next())));
    const bytesBefore = heapBytes();
    await run(NUM_STREAMS, async () => {
      const tokenIds = streams.next();
      assembled(await answer(tokenIds), tokenIds);
    });
    const grownBytes = heapBytes() - bytesBefore;
    assert.ok(grownBytes < 2_000_000, `${grownBytes} bytes were kept after ${NUM_STREAMS} streams`);
  });

  // A second turn failed with an error about what the first one had made.
  it(`is welcome in the next turn: ${NUM_STREAMS / 20} of them`, async () => {
    const streams = new HarmonyStreams(tokenizer, harmony, completions, 18);
    const answer = await answerer();
    await run(NUM_STREAMS / 20, async () => {
      const tokenIds = streams.next();
      renderHarmony(tokenizer, nextTurn(assembled(await answer(tokenIds), tokenIds)), [], OPTIONS);
    });
  });

  it("keeps a bounded state through a million tokens of headers without content", () => {
    for (const flood of [
      [harmony.start],
      [harmony.start, ...tokenizer.encodeOrdinary("assistant"), harmony.channel, ...tokenizer.encodeOrdinary("final")],
      [harmony.channel, ...tokenizer.encodeOrdinary(" to=functions.f"), harmony.constrain!],
      [harmony.message, harmony.end],
    ]) {
      const text = new HarmonyText(tokenizer, harmony, ["stop"], "r-0");
      const bytesBefore = heapBytes();
      for (let count = 0; count < 1_000_000; count += flood.length) for (const tokenId of flood) text.push(tokenId);
      const grownBytes = heapBytes() - bytesBefore;
      assert.ok(grownBytes < 1_000_000, `${grownBytes} bytes were kept after ${flood.length} tokens over and over`);
      assert.ok(text.finish().length <= 2);
    }
  });

  /** Runs one request whose tokens are given, as the API does, and returns its events. */
  async function answerer(): Promise<(tokenIds: number[]) => Promise<v1.GenerateEvent.$Properties[]>> {
    const limits = { vocabSize: tokenizer.vocabSize, modelStopTokenIds: [] };
    const sampling = parseSamplingParams({ stop: ["\u0001\u0002"] }, limits, 1);
    const observer = { firstToken: () => {}, finished: () => {} };
    return async (tokenIds) => {
      const textOf = (): HarmonyText => new HarmonyText(tokenizer, harmony, sampling.stopStrings, "r-0");
      const tokenBytes = (tokenId: number): Uint8Array => tokenizer.tokenBytes(tokenId);
      const request = {
        requestId: "r",
        model: "demo",
        promptTokenIds: [1],
        sampling,
        priority: 0,
        grammar: null,
        isPerToken: false,
        wantsPrefill: false,
        textOf,
        tokenBytes,
      };
      const generation = new Generation(request, runnerOf(tokenIds), observer, new ManualClock(), 100_000);
      const events: v1.GenerateEvent.$Properties[] = [];
      for await (const event of generation.run([1], context())) events.push(event);
      return events;
    };
  }

  /** A sequence that has these tokens at once; it must not be ended by anybody else. */
  function runnerOf(tokenIds: number[]): SequenceRunner {
    return {
      submit: ({ seqId, requestId }: SequenceSpec, listener: OutputListener) => {
        const ids = { seqId, requestId, numPromptTokens: 1, numCachedTokens: 0 };
        for (const [index, tokenId] of [...tokenIds, harmony.return!].entries()) {
          const finish = index === tokenIds.length ? ({ finish: "stop" } as const) : {};
          listener({ ...ids, numOutputTokens: index + 1, tokenId, ...finish });
        }
      },
      abort: () => assert.fail("the completion was not taken to its end"),
    };
  }
});

const OPTIONS = { reasoningEffort: "low", currentDate: "2026-01-02" } as const;
function context(): RequestContext {
  return { signal: new AbortController().signal, deadlineMs: Infinity } as RequestContext;
}

interface Said {
  reasoning: string;
  content: string;
  calls: { id: string; name: string; arguments: string }[];
}

function assembled(events: v1.GenerateEvent.$Properties[], tokenIds: number[]): Said {
  const said: Said = { reasoning: "", content: "", calls: [] };
  const finish = events.at(-1)?.finish;
  assert.ok(finish?.reason === "stop" || finish?.reason === "tool_calls", JSON.stringify(finish));
  assert.equal(
    finish.reason === "tool_calls",
    events.some(({ delta }) => delta?.text?.some(isCall)),
  );
  for (const delta of events.flatMap((event) => event.delta?.text ?? [])) add(said, delta);
  const text = said.reasoning + said.content + said.calls.map((call) => call.name + call.arguments).join("");
  assert.ok(!text.includes("<|"), `a control token in ${JSON.stringify(text)} of ${tokenIds.join(" ")}`);
  assert.equal(Buffer.from(text).toString(), text);
  return said;
}

function isCall({ kind }: v1.TextDelta.$Properties): boolean {
  return kind === TOOL_CALL;
}

function add(said: Said, delta: v1.TextDelta.$Properties): void {
  const text = delta.text ?? "";
  if (delta.kind === REASONING) said.reasoning += text;
  else if (delta.kind === CONTENT) said.content += text;
  else addToCall(said.calls, delta);
}

function addToCall(
  calls: Said["calls"],
  { tool_call_index, tool_call_id, tool_name, text }: v1.TextDelta.$Properties,
): void {
  const index = tool_call_index ?? 0;
  assert.ok(index <= calls.length && tool_name, `call ${index} of "${tool_name}" after ${calls.length} calls`);
  const call = (calls[index] ??= { id: tool_call_id!, name: tool_name, arguments: "" });
  assert.equal(index, calls.length - 1);
  assert.deepEqual([call.id, call.name], [tool_call_id, tool_name]);
  call.arguments += text ?? "";
}

function nextTurn({ reasoning, content, calls }: Said): ChatMessage[] {
  const results = calls.map((call): ChatMessage => ({ role: "tool", content: "1", toolCallId: call.id }));
  const answer: ChatMessage = { role: "assistant", content, reasoning, toolCalls: calls };
  return [{ role: "user", content: "a" }, answer, ...results, { role: "user", content: "b" }];
}

async function run(times: number, work: () => Promise<void>): Promise<void> {
  for (let index = 0; index < times; index++) await work();
}

/** What is reachable now. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
