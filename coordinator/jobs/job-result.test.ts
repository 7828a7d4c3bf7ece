import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { v1 } from "../../proto/messages.js";
import { ResultCollector } from "./job-result.js";

const { REASONING, CONTENT, TOOL_CALL } = v1.TextDelta.Kind;

describe("ResultCollector", () => {
  it("makes one delta of many, with texts joined where they belong together", () => {
    const collector = new ResultCollector();
    const head = { request_id: "r", choice: 0 };
    const call = (id: string, index: number, text: string) => {
      return { kind: TOOL_CALL, tool_call_id: id, tool_call_index: index, tool_name: "f", text };
    };
    collector.take({ ...head, offset: 1, started: { model: "m", prompt_token_ids: [1, 2] } });
    const deltas = [
      [{ kind: REASONING, text: "hm" }],
      [
        { kind: REASONING, text: "m" },
        { kind: CONTENT, text: "a" },
      ],
      [],
      [{ kind: CONTENT, text: "b" }, call("c0", 0, "{")],
      [call("c0", 0, "}"), call("c1", 1, "{}")],
    ];
    for (const [index, text] of deltas.entries()) {
      collector.take({ ...head, offset: index + 2, delta: { token_ids: [10 + index], text } });
    }
    collector.take({
      ...head,
      offset: 7,
      finish: { reason: "tool_calls", usage: { prompt_tokens: 2, completion_tokens: 5 } },
    });
    const { events, ...counts } = collector.result()!;
    assert.deepEqual(counts, { isFailed: false, numPromptTokens: 2, numOutputTokens: 5 });
    assert.deepEqual(
      events.map(({ offset }) => offset),
      [1, 2, 3],
    );
    assert.deepEqual(events[1]!.delta!.token_ids, [10, 11, 12, 13, 14]);
    assert.deepEqual(events[1]!.delta!.text, [
      { kind: REASONING, text: "hmm" },
      { kind: CONTENT, text: "ab" },
      call("c0", 0, "{}"),
      call("c1", 1, "{}"),
    ]);
  });

  it("keeps choices apart, the prompt once, and counts the tokens of all", () => {
    const collector = new ResultCollector();
    for (const choice of [1, 0]) collector.take({ choice, started: { model: "m", prompt_token_ids: [1] } });
    for (const choice of [0, 1, 0]) collector.take({ choice, delta: { token_ids: [choice] } });
    for (const choice of [0, 1]) {
      assert.equal(collector.result(), null);
      const error = choice === 1 ? { error: { code: "internal", message: "m" } } : {};
      collector.take({ choice, finish: { reason: "stop", usage: { completion_tokens: 2 - choice }, ...error } });
    }
    const { events, isFailed, numOutputTokens } = collector.result()!;
    assert.deepEqual(
      events.map(({ choice }) => choice),
      [0, 0, 0, 1, 1, 1],
    );
    assert.deepEqual(
      events.flatMap(({ started }) => (started ? [started.prompt_token_ids] : [])),
      [[1], []],
    );
    assert.deepEqual([isFailed, numOutputTokens], [true, 3]);
  });

  it("takes no answer of ranks that were away for a result", () => {
    const collector = new ResultCollector();
    collector.take({ started: { model: "m" } });
    collector.take({ finish: { reason: "error", error: { code: "unavailable", message: "ranks did not come back" } } });
    assert.equal(collector.transientError?.code, "unavailable");
  });
});
