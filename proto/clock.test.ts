import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "./clock.js";

describe("ManualClock", () => {
  it("runs one timer after the other, in order of their time and then of their setting", () => {
    const clock = new ManualClock();
    const heard: string[] = [];
    const set = (name: string, delayMs: number) =>
      clock.setTimer(delayMs, () => heard.push(`${name} at ${clock.nowMs()}`));
    set("late", 5);
    set("first", 2);
    set("second", 2);
    set("cancelled", 1)();
    clock.setTimer(3, () => set("set by another", 0));
    while (clock.runNext());
    assert.deepEqual(heard, ["first at 2", "second at 2", "set by another at 3", "late at 5"]);
    assert.equal(clock.runNext(), false);
    assert.equal(clock.nowMs(), 5);
  });
});
