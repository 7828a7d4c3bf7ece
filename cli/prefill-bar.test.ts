import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import type { GenerateEvent } from "../client/generate-event.js";
import { withPrefillBar } from "./prefill-bar.js";

const head = { requestId: "r", choice: 0, offset: 1 };
const prefill = (numDone: number, choice = 0): GenerateEvent => {
  return { type: "prefill", ...head, choice, numDone, numPromptTokens: 2_000 };
};
const delta: GenerateEvent = { type: "delta", ...head, tokenIds: [1], text: [], logprobs: [] };

/** What is on the screen after each event, and the events. */
async function shown(events: GenerateEvent[], isTTY: boolean): Promise<string> {
  const stream = Object.assign(new PassThrough(), {
    isTTY,
    cursorTo: () => {},
    clearLine: () => {},
    moveCursor: () => {},
  });
  stream.setEncoding("utf8");
  const passed: GenerateEvent[] = [];
  const source = async function* () {
    for (const event of events) yield event;
  };
  for await (const event of withPrefillBar(source(), stream as unknown as NodeJS.WriteStream)) passed.push(event);
  assert.deepEqual(passed, events);
  return String(stream.read() ?? "");
}

describe("withPrefillBar", () => {
  it("shows how far the first choice's prompt is, and nothing of it once there is a token", async () => {
    const text = await shown([prefill(64), prefill(500, 1), prefill(1_024), delta], true);
    assert.match(text, /prompt \[.*\] 64 of 2000 tokens/);
    assert.doesNotMatch(text, /500 of 2000/);
    assert.ok(text.includes("\u001b[?25h"), "the cursor is shown again");
  });

  it("shows nothing for a short prompt, and nothing where there is no terminal", async () => {
    assert.equal(await shown([delta], true), "");
    assert.equal(await shown([prefill(64), delta], false), "");
  });
});
