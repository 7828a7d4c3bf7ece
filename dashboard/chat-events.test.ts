import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { array, assert as check, nat, property } from "fast-check";
import { deltaOf, EventLines } from "./chat-events.js";

describe("a streamed answer in the page", () => {
  it("is the same wherever its bytes are cut", () => {
    const text = 'data: {"a":1}\n\n: keep-alive\n\ndata: {"b":2}\n\ndata: [DONE]\n\n';
    check(
      property(array(nat(text.length)), (cuts) => {
        const lines = new EventLines();
        const borders = [0, ...cuts.toSorted((a, b) => a - b), text.length];
        const data = borders.slice(1).flatMap((end, index) => lines.push(text.slice(borders[index], end)));
        assert.deepEqual(data, ['{"a":1}', '{"b":2}', "[DONE]"]);
      }),
    );
  });

  it("has content, reasoning, an end, and errors in the server's words", () => {
    const nothing = { content: "", reasoning: "", finishReason: null };
    assert.deepEqual(deltaOf('{"choices":[{"delta":{"content":"Hi"}}]}'), { ...nothing, content: "Hi" });
    assert.deepEqual(deltaOf('{"choices":[{"delta":{"reasoning":"Hm"}}]}'), { ...nothing, reasoning: "Hm" });
    assert.deepEqual(deltaOf('{"choices":[{"delta":{},"finish_reason":"length"}]}'), {
      ...nothing,
      finishReason: "length",
    });
    assert.deepEqual(deltaOf('{"choices":[],"usage":{}}'), nothing);
    assert.equal(deltaOf("[DONE]"), null);
    assert.throws(() => deltaOf('{"error":{"message":"the ranks were lost"}}'), /the ranks were lost/);
  });
});
