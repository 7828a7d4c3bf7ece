import assert from "node:assert/strict";
import { describe, it } from "node:test";

import * as fc from "fast-check";

import { MoesaicError } from "../proto/errors.js";
import { parseYaml } from "./yaml-source.js";

describe("parseYaml", () => {
  it("gives plain values with the line and column of each", () => {
    const source = parseYaml("a: 1\nb:\n  - { c: x }\n  - true\n", "f.yaml");
    assert.deepEqual(source.value, { a: 1, b: [{ c: "x" }, true] });
    assert.equal(source.placeOf(["b", 0, "c"]), "f.yaml:3:10");
    assert.equal(source.placeOfKey(["b", 0, "c"]), "f.yaml:3:7");
    assert.equal(source.placeOf(["b", 1]), "f.yaml:4:5");
  });

  it("gives the place of the nearest parent for what is not there", () => {
    const source = parseYaml("a:\n  b:\n    c: 1\n", "f.yaml");
    assert.equal(source.placeOf(["a", "b", "missing", "more"]), "f.yaml:2:3");
    assert.equal(source.placeOf(["other"]), "f.yaml:1:1");
  });

  it("expands anchors", () => {
    assert.deepEqual(parseYaml("a: &x { b: 1 }\nc: *x\n", "f").value, { a: { b: 1 }, c: { b: 1 } });
  });

  const refused: [what: string, yaml: string, wanted: RegExp][] = [
    ["equal keys in one mapping", "a: 1\nb: 2\na: 3\n", /f:3:1: a: given twice/],
    ["an unclosed list", "a: [1, 2\n", /f:\d+:\d+: /],
    ["wrong indentation", "a:\n  b: 1\n c: 2\n", /f:3:\d+: /],
    ["a tab as indentation", "a:\n\tb: 1\n", /f:2:\d+: /],
    ["several documents", "a: 1\n---\nb: 2\n", /f:2:\d+: /],
    ["an unknown tag", "a: !python/object x\n", /f:1:4: Unresolved tag/],
    ["a mapping as a key", "? { a: 1 }\n: 2\n", /expected a name as the key/],
    ["an alias to nothing", "a: *x\n", /\*x refers to no anchor/],
    ["an anchor that contains itself", "a: &x [*x]\n", /\*x refers to no anchor that is complete before it/],
    ["deep nesting", `a: ${"[".repeat(40)}${"]".repeat(40)}\n`, /nested over 32 levels/],
    // Building such a tree fills the call stack, which V8 does not always survive.
    ["very deep lists", "[".repeat(300_000), /f:1:1: nested over 32 levels/],
    ["very deep keys", "a: ".repeat(300_000), /f:1:1: nested over 32 levels/],
    ["very deep dashes", "- ".repeat(300_000), /f:1:1: nested over 32 levels/],
    ["more than 1 MiB", "#".repeat(2 ** 20 + 1), /at most 1048576 bytes/],
  ];
  for (const [what, yaml, wanted] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseYaml(yaml, "f"), matching(wanted));
    });
  }

  // Nine levels of nine aliases are 387 million values.
  it("stops expanding an alias bomb", () => {
    const levels = Array.from({ length: 9 }, (_, level) => {
      return `a${level + 1}: &a${level + 1} [${Array.from({ length: 9 }, () => `*a${level}`).join(", ")}]`;
    });
    const bomb = ["a0: &a0 lol", ...levels].join("\n");
    assert.throws(() => parseYaml(bomb, "f"), matching(/expected at most 100000 values/));
  });

  it("keeps a key such as __proto__ an ordinary key", () => {
    const { value } = parseYaml("__proto__: { polluted: true }\n", "f");
    assert.deepEqual(Object.keys(value as object), ["__proto__"]);
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  });

  it("throws nothing but MoesaicError on any text", () => {
    const piece = fc.constantFrom(
      "a",
      ": ",
      "- ",
      "\n",
      "  ",
      "[",
      "]",
      "{",
      "}",
      "&x ",
      "*x",
      "!t ",
      "'",
      '"',
      "|",
      "? ",
      "#",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        try {
          parseYaml(pieces.join(""), "f");
        } catch (caught) {
          assert.ok(caught instanceof MoesaicError && caught.code === "invalid_argument", String(caught));
        }
      }),
      { seed: 7, numRuns: 500 },
    );
  });
});

function matching(wanted: RegExp): (caught: unknown) => boolean {
  return (caught) => {
    assert.ok(caught instanceof MoesaicError, String(caught));
    assert.equal(caught.code, "invalid_argument");
    assert.match(caught.describe(), wanted);
    return true;
  };
}
