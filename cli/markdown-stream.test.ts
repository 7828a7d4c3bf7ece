import * as fc from "fast-check";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MarkdownStream } from "./markdown-stream.js";

function shown(...pieces: string[]): string {
  const stream = new MarkdownStream();
  return pieces.map((piece) => stream.write(piece)).join("") + stream.end();
}

/** With names for the escape sequences. */
function named(text: string): string {
  const names = { "0": "/", "1": "b", "3": "i", "36": "c", "1;4": "h", "2": "q" } as Record<string, string>;
  const [first = "", ...rest] = shown(text).split("\u001b[");
  return first + rest.map((part) => part.replace(/^([\d;]+)m/, (_, code: string) => `<${names[code]}>`)).join("");
}

describe("MarkdownStream", () => {
  const cases: [what: string, text: string, as: string][] = [
    ["plain text", "Hello, world.\nBye.", "Hello, world.\nBye."],
    ["bold and italic", "a **b c** d *e* f", "a <b>b c</> d <i>e</> f"],
    ["bold in italic", "*a **b** c*", "<i>a <b>b</><i> c</>"],
    ["inline code, in which nothing else is a mark", "run `a ** b` now", "run <c>a ** b</> now"],
    ["a product", "2 * 3 * 4 and 2 ** 3", "2 * 3 * 4 and 2 ** 3"],
    ["a heading", "## Title\ntext", "<h>Title</>\ntext"],
    ["no heading", "#hashtag", "#hashtag"],
    ["lists", "- a\n  * b\n1. c", "• a\n  • b\n1. c"],
    ["a quote", "> said\nend", "<q>│ said</>\nend"],
    ["fenced code", "x\n```js\nlet a = 2 ** 3; // `no`\n```\ny", "x\n<c>let a = 2 ** 3; // `no`\n</>y"],
    ["what is not closed, to the end of its line", "a **b\nc", "a <b>b</>\nc"],
    ["a fence that is not closed, to the end", "```\ncode", "<c>code</>"],
    ["a mark at the very end", "a*", "a*"],
  ];
  for (const [what, text, as] of cases) it(`shows ${what}`, () => assert.equal(named(text), as));

  it("shows the same however the text is cut", () => {
    const piece = fc.constantFrom(
      "*",
      "**",
      "`",
      "```",
      "\n",
      "# ",
      "- ",
      "1. ",
      "> ",
      " ",
      "a",
      "bc",
      "é",
      "🙂",
      "~~~",
    );
    const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
    fc.assert(
      fc.property(text, fc.array(fc.nat(80), { maxLength: 6 }), (whole, cuts) => {
        const characters = Array.from(whole);
        const ends = [0, ...cuts.map((cut) => Math.min(cut, characters.length)).toSorted((a, b) => a - b), Infinity];
        const pieces = ends.slice(1).map((end, index) => characters.slice(ends[index], end).join(""));
        assert.equal(shown(...pieces), shown(whole));
      }),
      { numRuns: 2_000 },
    );
  });

  it("leaves no style on, and loses no letter", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("*", "`", "x", "y", " ", "\n") }), (text) => {
        const result = shown(text);
        const last = result.lastIndexOf("\u001b[");
        assert.ok(last < 0 || result.slice(last).startsWith("\u001b[0m"), JSON.stringify(result));
        const letters = (one: string): string => one.replaceAll(/[^xy]/g, "");
        // The line of a fence is its language, which is not shown.
        if (!/^ {0,3}```/m.test(text)) assert.equal(letters(result), letters(text));
      }),
      { numRuns: 2_000 },
    );
  });
});
