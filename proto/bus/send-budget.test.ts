import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MAX_UNCONFIRMED_BYTES, SendBudget } from "./send-budget.js";

const EIGHTH = MAX_UNCONFIRMED_BYTES / 8;

describe("SendBudget", () => {
  it("asks for no confirmation while little is on its way", async () => {
    const { budget, asked } = budgetWith();
    budget.spend(EIGHTH);
    budget.spend(EIGHTH);
    await turn();
    assert.equal(asked.length, 0);
  });

  it("refuses what exceeds the bound until something is confirmed", async () => {
    const { budget, asked } = budgetWith();
    for (let index = 0; index < 8; index += 1) budget.spend(EIGHTH);
    assert.throws(() => budget.spend(1), { code: "resource_exhausted" });
    await turn();
    assert.equal(asked.length, 1, "asked once, not once per message");
    asked[0]!.resolve();
    await turn();
    for (let index = 0; index < 8; index += 1) budget.spend(EIGHTH);
  });

  it("counts what was spent while a confirmation was waited for", async () => {
    const { budget, asked } = budgetWith();
    for (let index = 0; index < 4; index += 1) budget.spend(EIGHTH);
    await turn();
    for (let index = 0; index < 4; index += 1) budget.spend(EIGHTH);
    asked[0]!.resolve();
    await turn();
    for (let index = 0; index < 4; index += 1) budget.spend(EIGHTH);
    assert.throws(() => budget.spend(1), { code: "resource_exhausted" });
  });

  it("starts from nothing when the connection is lost, and all that was on its way with it", async () => {
    const { budget, asked } = budgetWith();
    for (let index = 0; index < 8; index += 1) budget.spend(EIGHTH);
    await turn();
    asked[0]!.reject(new Error("disconnected"));
    await turn();
    for (let index = 0; index < 8; index += 1) budget.spend(EIGHTH);
  });
});

function budgetWith() {
  const asked: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const budget = new SendBudget(() => new Promise((resolve, reject) => asked.push({ resolve, reject })));
  return { budget, asked };
}
