import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ChatMessage } from "./chat-message.js";
import { loadChatTemplate, renderChatTemplate } from "./chat-template.js";
import { checkpointDir } from "./demo-model.js";

describe("renderChatTemplate", () => {
  const options = { reasoningEffort: "medium", currentDate: "2026-01-02" } as const;
  const user: ChatMessage = { role: "user", content: "hi" };
  const render = async (template: string, messages = [user], tools: { name: string }[] = []): Promise<string> =>
    renderChatTemplate(
      await loadChatTemplate(await checkpointDir({ "chat_template.jinja": template })),
      messages,
      tools,
      options,
    );

  it("renders roles, tokens, reasoning, calls and results by their names in chat templates", async () => {
    const template =
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}{% if m.tool_call_id is defined %} {{ m.tool_call_id }}{% endif %}] {{ m.content }}" +
      "{% if m.reasoning_content is defined %} ({{ m.reasoning_content }}){% endif %}" +
      "{% for c in m.tool_calls or [] %} {{ c.function.name }} {{ c.function.arguments | tojson }}{% endfor %}{% endfor %}" +
      "{% if add_generation_prompt %}[assistant]{% endif %}";
    const config = { bos_token: { content: "<s>" }, eos_token: "</s>" };
    const assets = await loadChatTemplate(
      await checkpointDir({ "chat_template.jinja": template, "tokenizer_config.json": config }),
    );
    assert.equal(assets.eosToken, "</s>");
    const toolCalls = [{ id: "1", name: "f", arguments: '{"a":1}' }];
    const messages: ChatMessage[] = [
      { role: "developer", content: "Be kind." },
      { role: "assistant", content: "", reasoning: "hm", toolCalls },
      { role: "tool", toolCallId: "1", content: "ok" },
    ];
    const text = '<s>[system] Be kind.[assistant]  (hm) f {"a": 1}[tool 1] ok[assistant]';
    assert.equal(renderChatTemplate(assets, messages, [], options), text);
  });

  it("takes the template from tokenizer_config.json, the one for tools when there are tools", async () => {
    const named = [
      { name: "default", template: "plain" },
      { name: "tool_use", template: "{{ tools[0].function.name }}" },
    ];
    const inConfig = async (chat_template: unknown): Promise<string> => {
      const assets = await loadChatTemplate(await checkpointDir({ "tokenizer_config.json": { chat_template } }));
      return (
        renderChatTemplate(assets, [user], [], options) + renderChatTemplate(assets, [user], [{ name: "f" }], options)
      );
    };
    assert.equal(await inConfig("one"), "oneone");
    assert.equal(await inConfig(named), "plainf");
  });

  it("says what to do when the checkpoint has no template", async () => {
    const dir = await checkpointDir({ "tokenizer_config.json": {} });
    const assets = await loadChatTemplate(dir);
    const refusal = { code: "failed_precondition", place: dir, message: /add chat_template\.jinja/ };
    assert.throws(() => renderChatTemplate(assets, [user], [], options), refusal);
  });

  it("passes on the complaint of a template, and its syntax errors", async () => {
    const complaint = { code: "invalid_argument", message: /roles must alternate/ };
    await assert.rejects(render("{{ raise_exception('roles must alternate') }}"), complaint);
    await assert.rejects(render("{% for %}"), { code: "invalid_argument", message: /does not parse/ });
  });

  it("stops a template that does not end", async () => {
    const loop = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    const startMs = performance.now();
    await assert.rejects(render(loop), { code: "invalid_argument", message: /timed out/ });
    assert.ok(performance.now() - startMs < 15_000);
    const recursion = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    await assert.rejects(render(recursion), { code: "invalid_argument", message: /refused the conversation/ });
    assert.equal(await render("still here"), "still here");
  });

  it("refuses files of another shape or size", async () => {
    const broken = await checkpointDir({ "tokenizer_config.json": { chat_template: 7 } });
    await assert.rejects(loadChatTemplate(broken), { code: "invalid_argument", place: /tokenizer_config\.json$/ });
    const large = await checkpointDir({ "chat_template.jinja": " ".repeat(1024 * 1024 + 1) });
    await assert.rejects(loadChatTemplate(large), { code: "invalid_argument", place: /chat_template\.jinja$/ });
  });
});
