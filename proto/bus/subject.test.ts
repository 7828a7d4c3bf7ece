import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { subjectMatches } from "./subject.js";

describe("subjectMatches", () => {
  const cases: [pattern: string, subject: string, fits: boolean][] = [
    ["a.b", "a.b", true],
    ["a.b", "a.c", false],
    ["a.b", "a.b.c", false],
    ["a.b.c", "a.b", false],
    ["*", "a", true],
    ["*", "a.b", false],
    ["a.*.c", "a.b.c", true],
    ["a.*.c", "a.b.b.c", false],
    ["a.*", "a", false],
    [">", "a", true],
    [">", "a.b.c", true],
    ["a.>", "a.b.c", true],
    ["a.>", "a", false],
    ["*.b.>", "a.b.c.d", true],
    ["*.b.>", "a.c.c.d", false],
  ];
  for (const [pattern, subject, fits] of cases) {
    it(`${pattern} ${fits ? "fits" : "does not fit"} ${subject}`, () => {
      assert.equal(subjectMatches(pattern, subject), fits);
    });
  }
});
