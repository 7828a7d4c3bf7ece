import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { StopStrings } from "./stop-strings.js";

/** Feeds the parts and returns what a client would have seen, and the match. */
function feed(stops: string[], parts: string[]): { shown: string; matched: string | null } {
  const stopStrings = new StopStrings(stops);
  let shown = "";
  for (const part of parts) {
    const { text, matched } = stopStrings.push(part);
    shown += text;
    if (matched !== null) return { shown, matched };
  }
  return { shown: shown + stopStrings.flush(), matched: null };
}

describe("StopStrings", () => {
  it("cuts the text before a stop string that spans several pushes", () => {
    assert.deepEqual(feed(["END"], ["abcE", "N", "Dxyz"]), { shown: "abc", matched: "END" });
  });

  it("gives back text that only looked like the beginning of a stop string", () => {
    assert.deepEqual(feed(["END"], ["abEN", "x"]), { shown: "abENx", matched: null });
    assert.deepEqual(feed(["END"], ["abEN"]), { shown: "abEN", matched: null });
  });

  it("takes the earliest of several stop strings, the longer one at the same place", () => {
    assert.deepEqual(feed(["b", "bc", "a"], ["xxbc"]), { shown: "xx", matched: "bc" });
  });

  it("never shows a character of a stop string, however the text is split", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 40 });
    const stop = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 12 }),
        fc.array(stop, { minLength: 1, maxLength: 3 }),
        (parts, stops) => {
          const whole = parts.join("");
          const { shown, matched } = feed(stops, parts);
          const first = Math.min(
            ...stops.map((candidate) => whole.indexOf(candidate)).filter((at) => at >= 0),
            Infinity,
          );
          if (matched === null) assert.equal(shown, whole);
          else
            assert.ok(shown.length <= whole.length && whole.startsWith(shown) && !stops.some((s) => shown.includes(s)));
          assert.equal(matched === null, first === Infinity);
        },
      ),
    );
  });
});
