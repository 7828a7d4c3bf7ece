import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRequestLines } from "./request-lines.js";

describe("parseRequestLines", () => {
  it("takes defaults for what a line does not say, and numbers lines without an id", () => {
    const text = '{"tokens":[1,2],"temperature":0}\n\n{"id":"b","prompt":"hi","max_tokens":5,"stop":"x"}\n';
    assert.deepEqual(parseRequestLines(text, "f", { sampling: { temperature: 1, maxTokens: 9 } }), [
      { id: 0, request: { tokenIds: [1, 2], sampling: { temperature: 0, maxTokens: 9 } } },
      { id: "b", request: { prompt: "hi", sampling: { temperature: 1, maxTokens: 5, stop: ["x"] } } },
    ]);
  });

  it("reads conversations with tools and calls as OpenAI and as chat templates write them", () => {
    const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
    const line = {
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: null, thinking: "t", tool_calls: [call] },
        { role: "tool", content: "r", tool_call_id: "c" },
      ],
      tools: [{ type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } }],
      template_args: { reasoning_effort: "low", current_date: "2027-01-01" },
      current_date: "2028-01-01",
    };
    const [parsed] = parseRequestLines(JSON.stringify(line), "f", {});
    assert.deepEqual(parsed?.request, {
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "", reasoning: "t", toolCalls: [{ id: "c", name: "f", arguments: "{}" }] },
        { role: "tool", content: "r", toolCallId: "c" },
      ],
      tools: [{ name: "f", description: "d", parameters: { type: "object" } }],
      reasoningEffort: "low",
      currentDate: "2028-01-01",
      sampling: {},
    });
  });

  const bad: [name: string, line: string, problem: RegExp][] = [
    ["what is not JSON", "{", /f:1: not JSON: /],
    ["what is no object", "[1]", /f:1: .*expected object/],
    ["no input", '{"id":1}', /expected one of tokens, prompt and messages, got none/],
    ["two inputs", '{"prompt":"a","tokens":[1]}', /got tokens and prompt/],
    ["a fraction of a token", '{"tokens":[1.5]}', /f:1: tokens\[0\]: /],
    ["a number as text", '{"tokens":[1],"seed":"7"}', /f:1: seed: .*expected number/],
    ["an unknown role", '{"messages":[{"role":"bot","content":"a"}]}', /f:1: messages\[0\]\.role: /],
    ["a misspelt key", '{"tokens":[1],"temprature":0}', /f:1: temprature: no such key; did you mean temperature\?/],
    ["a bias of what is no token", '{"tokens":[1],"logit_bias":{"a":1}}', /f:1: logit_bias\.a: /],
  ];
  for (const [name, line, problem] of bad) {
    it(`refuses ${name}`, () => {
      assert.throws(() => parseRequestLines(line, "f", {}), { code: "invalid_argument", message: problem });
    });
  }

  it("refuses a file without a line", () => {
    assert.throws(() => parseRequestLines("\n \n", "f", {}), /f:1: expected at least one line/);
  });
});
