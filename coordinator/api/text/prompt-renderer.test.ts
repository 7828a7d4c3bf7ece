import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BYTE_CHARS } from "./byte-level.js";
import type { ChatMessage } from "./chat-message.js";
import { loadChatTemplate } from "./chat-template.js";
import { DEMO_DIR, checkpointDir, loadDemoTokenizer } from "./demo-model.js";
import { promptRenderer } from "./prompt-renderer.js";
import { loadTokenizer } from "./tokenizer.js";

describe("promptRenderer", () => {
  const messages: ChatMessage[] = [{ role: "user", content: "a" }];

  it("chooses Harmony when the vocabulary has its control tokens", async () => {
    const tokenizer = await loadDemoTokenizer();
    const renderer = promptRenderer(tokenizer, await loadChatTemplate(DEMO_DIR), () => "2026-01-02");
    assert.equal(renderer.kind, "harmony");
    assert.deepEqual(renderer.stopTokenIds, [2020, 2030, 2017]);
    const text = tokenizer.decode(renderer.render(messages, [], { reasoningEffort: "high" }), { skipSpecial: false });
    assert.match(text, /Current date: 2026-01-02\n\nReasoning: high\n/);
    assert.match(text, /<\|start\|>user<\|message\|>a<\|end\|><\|start\|>assistant$/);
  });

  it("takes today's date when nobody says another", async () => {
    const tokenizer = await loadDemoTokenizer();
    const renderer = promptRenderer(tokenizer, await loadChatTemplate(DEMO_DIR));
    const text = tokenizer.decode(renderer.render(messages, [], { reasoningEffort: "low" }), { skipSpecial: false });
    assert.match(text, /Current date: \d{4}-\d\d-\d\d\n/);
  });

  it("chooses the checkpoint's template otherwise, and stops at its end tokens", async () => {
    const dir = await checkpointDir({
      "tokenizer.json": {
        added_tokens: [{ id: 256, content: "<|user|>", special: true }],
        pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
        decoder: { type: "ByteLevel" },
        model: { type: "BPE", vocab: Object.fromEntries(BYTE_CHARS.map((char, byte) => [char, byte])), merges: [] },
      },
      "generation_config.json": { eos_token_id: 9 },
      "chat_template.jinja": "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}",
    });
    const tokenizer = await loadTokenizer(dir);
    assert.ok(tokenizer);
    const renderer = promptRenderer(tokenizer, await loadChatTemplate(dir));
    assert.equal(renderer.kind, "template");
    assert.deepEqual(renderer.stopTokenIds, [9]);
    const bytes = renderer.render(messages, [], { reasoningEffort: "low" });
    assert.deepEqual(bytes.length, 2);
    assert.equal(bytes[0], 256);
  });
});
