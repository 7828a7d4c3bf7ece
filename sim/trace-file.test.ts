import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { thrownBy } from "../test/thrown.js";
import { parseTrace } from "./trace-file.js";

const AZURE = `TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
`;

describe("parseTrace", () => {
  it("reads traces of Azure, with and without an offset of time, and lines in any order", () => {
    const { requests, hasTimes } = parseTrace(AZURE, "a.csv");
    assert.ok(hasTimes);
    assert.deepEqual(
      requests.map(({ atMs, ...lengths }) => ({ atMs: Math.round(atMs * 1_000) / 1_000, ...lengths })),
      [
        { atMs: 0, numPromptTokens: 4_808, numOutputTokens: 10, prefixIds: [] },
        { atMs: 52, numPromptTokens: 3_180, numOutputTokens: 8, prefixIds: [] },
      ],
    );
    const later =
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2024-05-10 00:00:01.5+00:00,1,2\r\n2024-05-10 00:00:01+00:00,3,0\r\n";
    const shuffled = parseTrace(later, "b.csv").requests;
    assert.deepEqual(
      shuffled.map(({ atMs, numPromptTokens, numOutputTokens }) => [atMs, numPromptTokens, numOutputTokens]),
      [
        [0, 3, 1],
        [500, 1, 2],
      ],
      "an output of nothing is one token: else nothing would be heard of it",
    );
  });

  it("reads traces of Mooncake, whose times begin anywhere", () => {
    const text =
      '{"timestamp": 3052, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}\n' +
      '\n{"timestamp": 4000, "input_length": 20, "output_length": 7, "hash_ids": [0], "session": "x"}\n';
    assert.deepEqual(parseTrace(text, "m.jsonl").requests, [
      { atMs: 0, numPromptTokens: 600, numOutputTokens: 5, prefixIds: [0, 1] },
      { atMs: 948, numPromptTokens: 20, numOutputTokens: 7, prefixIds: [0] },
    ]);
  });

  it("reads lengths without times", () => {
    const { requests, hasTimes } = parseTrace(
      '{"prompt_len": 12, "output_len": 3}\n{"output_len": 1, "prompt_len": 2}',
      "l.jsonl",
    );
    assert.equal(hasTimes, false);
    assert.deepEqual(
      requests.map(({ numPromptTokens }) => numPromptTokens),
      [12, 2],
    );
  });

  it("tells every bad line with its number", () => {
    const bad = `TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9,4808,10
yesterday,1,1
2023-11-16 18:17:04,0,1

2023-11-16 18:17:04,1
2023-11-16 18:17:04,1,1e9
2023-13-45 18:17:04,1,1
2023-11-16 18:17:04,,1`;
    const { code, message } = thrownBy(() => parseTrace(bad, "bad.csv"));
    assert.equal(code, "invalid_argument");
    assert.deepEqual(
      [...message.matchAll(/bad\.csv:(\d+): /g)].map(([, line]) => Number(line)),
      [3, 4, 6, 7, 8, 9],
    );
    assert.match(message, /bad\.csv:3: TIMESTAMP: expected a time such as .*, got yesterday/);
    assert.match(message, /bad\.csv:7: expected 0 to 16777216 output tokens, got 1000000000/);
  });

  it("refuses hostile lines of JSON, and no more of them than a person reads", () => {
    const lines = [
      '{"timestamp": 0, "input_length": 1, "output_length": 1}',
      "{",
      "[1]",
      '{"timestamp": -1, "input_length": 1, "output_length": 1}',
      '{"timestamp": 0, "input_length": 1e300, "output_length": 1}',
      '{"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": "x"}',
      '{"timestamp": null, "input_length": 1, "output_length": 1}',
    ];
    const { message } = thrownBy(() => parseTrace(lines.join("\n"), "m.jsonl"));
    assert.deepEqual(
      [...message.matchAll(/m\.jsonl:(\d+): /g)].map(([, line]) => Number(line)),
      [2, 3, 4, 5, 6, 7],
    );
    const many = thrownBy(() => parseTrace(`${lines[0]}\n${"{\n".repeat(100_000)}`, "m.jsonl"));
    assert.match(many.message, /^m\.jsonl: 20 problems:/);
  });

  it("knows what it reads by the first line, and says what it would", () => {
    for (const text of ["", "\n\n", "a,b\n1,2\n", "\u0000\u0001"]) {
      assert.match(
        thrownBy(() => parseTrace(text, "t")).message,
        /^expected a CSV with TIMESTAMP,ContextTokens,GeneratedTokens/,
      );
    }
    assert.match(
      thrownBy(() => parseTrace("TIMESTAMP,ContextTokens,GeneratedTokens\n", "t")).message,
      /t:1: expected a request after it/,
    );
  });
});
