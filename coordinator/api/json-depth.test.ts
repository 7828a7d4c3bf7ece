import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseChatInput } from "./chat-input.js";
import { isDeeperThan } from "./json-depth.js";

describe("isDeeperThan", () => {
  it("counts the levels of arrays and objects, the widest included", () => {
    assert.equal(isDeeperThan("text", 0), false);
    assert.equal(isDeeperThan([], 0), true);
    assert.equal(isDeeperThan({ a: [1, { b: 2 }] }, 3), false);
    assert.equal(isDeeperThan({ a: [1, { b: 2 }] }, 2), true);
    assert.equal(isDeeperThan(Array(100_000).fill(1), 1), false);
  });

  it("does not run out of stack itself", () => {
    assert.equal(isDeeperThan(JSON.parse("[".repeat(1_000_000) + "]".repeat(1_000_000)), 64), true);
  });
});

describe("a chat whose tool has a schema of endless depth", () => {
  it("is refused with its place", () => {
    const deep = `${'{"properties":{"a":'.repeat(50_000)}{}${"}}".repeat(50_000)}`;
    const chat = { messages: [{ role: "user", content: "" }], tools: [{ name: "f", parameters_json: deep }] };
    assert.throws(() => parseChatInput(chat, 1 << 24), { code: "invalid_argument", place: "tools[0].parameters_json" });
  });
});
