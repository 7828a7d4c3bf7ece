import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hasColour, terminalText } from "./terminal-text.js";

describe("terminalText", () => {
  const escapes: [what: string, text: string, shown: string][] = [
    ["a title", "\u001b]0;mine\u0007x", "\ufffd]0;mine\ufffdx"],
    ["a question that the terminal answers", "\u001b[6n", "\ufffd[6n"],
    ["the one-byte forms", "\u009b2J\u0085", "\ufffd2J\ufffd"],
    ["a line that is written over", "good\rbad\b\b", "good\ufffdbad\ufffd\ufffd"],
    ["line ends and tabs, which stay", "a\tb\r\nc\n", "a\tb\nc\n"],
    ["every other character", "é 🙂 日本 ­", "é 🙂 日本 ­"],
  ];
  for (const [what, text, shown] of escapes) it(`shows ${what}`, () => assert.equal(terminalText(text), shown));
});

describe("hasColour", () => {
  it("is for a terminal that a person looks at, who has not said otherwise", () => {
    const out = (isTerminal: boolean) => ({ isTerminal }) as never;
    assert.equal(hasColour({ out: out(true), json: false, env: {} }), true);
    assert.equal(hasColour({ out: out(false), json: false, env: {} }), false);
    assert.equal(hasColour({ out: out(true), json: true, env: {} }), false);
    assert.equal(hasColour({ out: out(true), json: false, env: { NO_COLOR: "1" } }), false);
    assert.equal(hasColour({ out: out(true), json: false, env: { TERM: "dumb" } }), false);
  });
});
