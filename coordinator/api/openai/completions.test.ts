import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BadRequestError } from "openai";
import { MoesaicError } from "../../../proto/errors.js";
import { collected, MAX_MODEL_LEN, openApi } from "../../../test/openai-api.js";

const ASK = { model: "demo", prompt: "Once upon" };

describe("POST /v1/completions", () => {
  it("answers with text, finish reason and usage, at most 16 tokens unless told otherwise", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => " a time".repeat(20);
    const { choices, usage, object } = await client.completions.create(ASK);
    assert.equal(object, "text_completion");
    assert.ok(choices[0]!.text.startsWith(" a time"));
    assert.equal(choices[0]!.finish_reason, "length");
    assert.equal(usage!.completion_tokens, 16);
  });

  it("takes token ids, several texts, or several lists of ids, and numbers the choices by prompt", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = ({ promptTokenIds }) => ` ${promptTokenIds.length}`;
    for (const prompt of [
      [1, 2, 3],
      [[1, 2, 3], [4]],
    ]) {
      const { choices } = await client.completions.create({ ...ASK, prompt: prompt, n: 2 });
      const lengths = typeof prompt[0] === "number" ? [3, 3] : [3, 3, 1, 1];
      assert.deepEqual(
        choices.map(({ index, text }) => [index, Number(text)]),
        lengths.map((length, index) => [index, length]),
      );
    }
  });

  it("streams the choices of all prompts, each in order, with one usage at the end", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = ({ promptTokenIds }) => ` ${"x ".repeat(promptTokenIds.length)}`;
    const prompt = [[1], [1, 2], [1, 2, 3]];
    const stream = await client.completions.create({
      ...ASK,
      prompt,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await collected(stream);
    const texts = ["", "", ""];
    for (const { choices } of chunks) for (const { index, text } of choices) texts[index] += text;
    assert.deepEqual(texts, [" x ", " x x ", " x x x "]);
    assert.equal(chunks.at(-1)!.usage!.prompt_tokens, 6);
  });

  it("repeats the prompt where it is asked to", async (test) => {
    const { client } = await openApi(test);
    const text = await client.completions.create({ ...ASK, echo: true });
    assert.ok(text.choices[0]!.text.startsWith("Once upon"));
    const ids = await client.completions.create({ ...ASK, prompt: [1, 2], echo: true, stream: true });
    const [first] = await collected(ids);
    assert.equal(first!.choices[0]!.text, '"#');
  });

  it("gives logprobs as columns with offsets into the text", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = () => " one two";
    const { choices } = await client.completions.create({ ...ASK, logprobs: 2 });
    const { text, logprobs } = choices[0]!;
    const { tokens, token_logprobs: values, top_logprobs: top, text_offset: offsets } = logprobs!;
    assert.equal(tokens!.join(""), text);
    assert.ok(values!.every((value) => value === -0.5));
    assert.equal(top!.length, tokens!.length);
    assert.ok(tokens!.every((token, index) => text.startsWith(token, offsets![index])));
  });

  const refused: [what: string, fields: object, param: string][] = [
    ["no prompt", { prompt: undefined }, "prompt"],
    ["an empty prompt", { prompt: "" }, "prompt"],
    ["a list with an empty prompt", { prompt: ["a", []] }, "prompt"],
    ["best_of over n", { best_of: 3 }, "best_of"],
    ["a suffix", { suffix: "end" }, "suffix"],
    ["echo with logprobs", { echo: true, logprobs: 1 }, "echo"],
    ["as many ids as the model is long", { prompt: Array.from({ length: MAX_MODEL_LEN }, () => 1) }, "messages"],
  ];
  for (const [what, fields, param] of refused) {
    it(`refuses ${what}`, async (test) => {
      const { client } = await openApi(test);
      const error = await client.completions.create({ ...ASK, ...fields }).then(
        () => assert.fail("was answered"),
        (caught: unknown) => caught,
      );
      assert.ok(error instanceof BadRequestError, String(error));
      assert.equal(error.param, param);
    });
  }

  it("leaves no prompt running when another one ends with an error", async (test) => {
    const { client, model } = await openApi(test);
    model.answer = ({ promptTokenIds }) => (promptTokenIds.length === 1 ? " x" : " x".repeat(4_000));
    model.pace = () => new Promise((resolve) => setTimeout(resolve, 5));
    const answer = client.completions.create({ ...ASK, prompt: [[1], [1, 2]], max_tokens: 4_000 });
    setTimeout(() => model.fail(new MoesaicError("unavailable", "lost")), 100);
    await assert.rejects(answer, { status: 503 });
    assert.equal(model.numLive, 0);
  });
});
