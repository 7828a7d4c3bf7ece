import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../../proto/clock.js";
import { v1 } from "../../proto/messages.js";
import type { OutputListener, SequenceRunner } from "../engine-loop.js";
import type { SequenceSpec } from "../scheduler/sequence.js";
import type { ChoiceText } from "./choice-text.js";
import { Generation, type PreparedRequest } from "./generation.js";
import { parseSamplingParams } from "./sampling-params.js";

const { CONTENT, REASONING, TOOL_CALL } = v1.TextDelta.Kind;

/** Runs nothing: the test says what comes. */
class SilentRunner implements SequenceRunner {
  readonly listeners: OutputListener[] = [];
  readonly specs: SequenceSpec[] = [];

  submit(spec: SequenceSpec, listener: OutputListener): void {
    this.specs.push(spec);
    this.listeners.push(listener);
  }

  abort(): void {}

  /** Tokens of one choice, all at once; the last ends it. */
  say(choice: number, tokenIds: number[], isEnd: boolean): void {
    const { seqId, requestId } = this.specs[choice]!;
    for (const [index, tokenId] of tokenIds.entries()) {
      const end = isEnd && index === tokenIds.length - 1 ? { finish: "length" as const } : {};
      const plain = { seqId, requestId, numPromptTokens: 1, numOutputTokens: 1, numCachedTokens: 0 };
      this.listeners[choice]!({ ...plain, tokenId, logprob: -tokenId, ...end });
    }
  }
}

/**
 * A token below 10 is a letter of reasoning, one below 20 of the answer, of which 18 and 19 are another message, and any other of the tool's
 * call that its tens say.
 */
const letters = (): ChoiceText => ({
  push: (tokenId) => {
    const text = String.fromCharCode(97 + (tokenId % 10));
    const kind = tokenId < 10 ? REASONING : tokenId < 20 ? CONTENT : TOOL_CALL;
    const call = tokenId < 20 ? {} : { tool_call_index: Math.floor(tokenId / 10), tool_call_id: "x", tool_name: "f" };
    const message_index = tokenId === 18 || tokenId === 19 ? 1 : 0;
    return { deltas: [{ kind, text, message_index, ...call }], stopString: null, kind };
  },
  finish: () => [],
  numReasoningTokens: 0,
  hasToolCall: false,
});

function begin(params: Parameters<typeof parseSamplingParams>[0] = {}) {
  const runner = new SilentRunner();
  const request: PreparedRequest = {
    requestId: "r",
    model: "m",
    promptTokenIds: [1],
    sampling: parseSamplingParams(params, { vocabSize: 1_000, modelStopTokenIds: [] }, 1),
    priority: 0,
    textOf: letters,
    grammar: null,
    isPerToken: false,
    wantsPrefill: false,
    tokenBytes: () => new Uint8Array(),
  };
  const observer = { firstToken: () => {}, finished: () => {} };
  const generation = new Generation(request, runner, observer, systemClock, 100);
  const context = { deadlineMs: Infinity, signal: new AbortController().signal };
  const seqIds = Array.from({ length: request.sampling.numChoices }, (_, index) => index + 1);
  const events = generation.run(seqIds, context as Parameters<Generation["run"]>[1])[Symbol.asyncIterator]();
  const next = async () => (await events.next()).value as v1.GenerateEvent.$Properties;
  return { runner, next };
}

describe("Generation", () => {
  it("sends a token that comes alone alone", async () => {
    const { runner, next } = begin();
    assert.ok((await next()).started);
    for (const [index, tokenId] of [11, 12, 13].entries()) {
      const coming = next();
      runner.say(0, [tokenId], false);
      const { delta, offset } = await coming;
      assert.deepEqual([delta?.token_ids, offset], [[tokenId], index + 2]);
    }
  });

  it("says how far a long prompt is, never less than before, and once for what waits", async () => {
    const { runner, next } = begin();
    assert.equal(runner.specs.length, 0);
    await next();
    const tell = (numPrefilled: number): void => {
      const { seqId, requestId } = runner.specs[0]!;
      const nothing = { seqId, requestId, numPromptTokens: 1, numOutputTokens: 0, numCachedTokens: 0 };
      runner.listeners[0]!({ ...nothing, numPrefilled });
    };
    tell(64);
    tell(128);
    const first = await next();
    assert.deepEqual([first.prefill?.num_done, first.offset], [128, 2]);
    // The ranks were lost, and the prompt is computed again.
    tell(64);
    tell(192);
    assert.equal((await next()).prefill?.num_done, 192);
    tell(256);
    runner.say(0, [11], false);
    assert.equal((await next()).prefill?.num_done, 256);
    assert.deepEqual((await next()).delta?.token_ids, [11]);
  });

  it("sends tokens that wait as one delta: their ids and texts in order, texts of a kind as one", async () => {
    const { runner, next } = begin();
    await next();
    const said = [1, 2, 11, 12, 18, 19, 21, 22, 31, 13];
    runner.say(0, said, true);
    const { delta, offset } = await next();
    assert.equal(offset, 2);
    assert.deepEqual(delta?.token_ids, said);
    assert.deepEqual(
      delta?.text?.map(({ kind, text, tool_call_index: call }) => [kind, text, call]),
      [
        [REASONING, "bc", undefined],
        [CONTENT, "bc", undefined],
        [CONTENT, "ij", undefined],
        [TOOL_CALL, "bc", 2],
        [TOOL_CALL, "b", 3],
        [CONTENT, "d", undefined],
      ],
    );
    const end = await next();
    assert.deepEqual([end.finish?.reason, end.offset], ["length", 3], "numbers rise by one with what is sent");
  });

  it("keeps each token with its logprob and its text", async () => {
    const { runner, next } = begin({ logprobs: 0 });
    await next();
    runner.say(0, [11, 12], true);
    for (const tokenId of [11, 12]) {
      const { delta } = await next();
      assert.deepEqual(delta?.token_ids, [tokenId]);
      assert.deepEqual(
        delta?.logprobs?.map(({ token_id: id, logprob }) => [id, logprob]),
        [[tokenId, -tokenId]],
      );
    }
  });

  it("never joins what belongs to two choices", async () => {
    const { runner, next } = begin({ n: 2, temperature: 1 });
    await next();
    await next();
    runner.say(0, [11], false);
    runner.say(1, [12, 13], true);
    runner.say(0, [14], true);
    const events = [await next(), await next(), await next(), await next(), await next()];
    assert.deepEqual(
      events.map(({ choice, offset, delta, finish }) => [choice, offset, delta?.token_ids ?? finish?.reason]),
      [
        [0, 2, [11]],
        [1, 2, [12, 13]],
        [1, 3, "length"],
        [0, 3, [14]],
        [0, 4, "length"],
      ],
    );
  });
});
