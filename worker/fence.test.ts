import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Fence } from "./fence.js";

describe("Fence", () => {
  it("lets pass who has the highest token so far, again and again", () => {
    const fence = new Fence();
    for (const token of [3, 3, 8, 8]) fence.pass(token);
  });

  it("refuses a coordinator that was succeeded, naming both tokens, and stays where it was", () => {
    const fence = new Fence();
    fence.pass(8);
    for (const token of [7, 1]) {
      const message = new RegExp(`has token ${token}, and this worker has obeyed one with token 8`);
      assert.throws(() => fence.pass(token), { code: "failed_precondition", message });
    }
    fence.pass(8);
  });

  it("asks nothing of coordinators without fencing, and forgets nothing over them", () => {
    const fence = new Fence();
    fence.pass(0);
    fence.pass(5);
    fence.pass(0);
    assert.throws(() => fence.pass(4), { code: "failed_precondition" });
  });
});
