import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { DEMO_MODEL } from "../paths.js";
import { GOLDEN, type ResultLine } from "./golden-generations.js";
import { jsonLines, moesaic, temporaryFolder } from "./moesaic.js";

const PERSON = {
  type: "object",
  properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer", minimum: 0, maximum: 130 } },
  required: ["name", "age"],
};

describe("constrained output", () => {
  for (const layout of [[], ["--tp", "2"]]) {
    const where = layout.length === 0 ? "one rank" : "two ranks that share the vocabulary";

    it(`changes nothing where the trained model keeps to the form by itself: ${where}`, async (test) => {
      const formats = GOLDEN.filter(({ template_args: { response_format: format } }) => format !== undefined);
      const calls = GOLDEN.filter(({ parsed }) => parsed.call !== null).slice(0, 3);
      assert.ok(formats.length > 0 && calls.length > 0);
      const chosen = [...formats, ...calls];
      const lines = chosen.map(({ id, messages, tools, template_args: args, parsed }) => ({
        ...{ id, messages, tools, template_args: args, temperature: 0, max_tokens: 200 },
        ...(parsed.call === null
          ? { json_schema: (args["response_format"] as { schema: object }).schema }
          : { tool_choice: "required" }),
      }));
      const results = await run(test, lines, layout);
      for (const [index, golden] of chosen.entries()) {
        assert.deepEqual(results[index]!.token_ids, golden.generated_tokens, `request ${golden.id}`);
      }
    });

    it(`makes any output what was asked for, beside others that stay as they are: ${where}`, async (test) => {
      const free = { prompt: "Tell me", temperature: 1, max_tokens: 24, ignore_eos: true };
      const alone = await run(test, [{ ...free, seed: 5 }], layout);
      const wild = { prompt: "Tell me", temperature: 2, max_tokens: 200 };
      const results = await run(
        test,
        [
          ...[1, 2, 3, 4].map((seed) => ({ ...wild, seed, json_schema: PERSON })),
          { ...free, seed: 5 },
          ...[1, 2].map((seed) => ({ ...wild, seed, regex: "[a-z]{3,9}(, [a-z]{3,9}){2}" })),
          ...[1, 2].map((seed) => ({ ...wild, seed, choice: ["yes", "no", "perhaps"], logprobs: 2 })),
        ],
        layout,
      );
      for (const { text } of results.slice(0, 4)) {
        const { name, age } = JSON.parse(text) as { name: string; age: number };
        assert.ok(Array.from(name).length <= 20 && Number.isInteger(age) && age >= 0 && age <= 130, text);
      }
      assert.deepEqual(results[4]!.token_ids, alone[0]!.token_ids);
      for (const { text } of results.slice(5, 7)) assert.match(text, /^[a-z]{3,9}(, [a-z]{3,9}){2}$/);
      for (const { text } of results.slice(7)) assert.ok(["yes", "no", "perhaps"].includes(text), text);
    });
  }

  it("is asked for by flags, and refused with its place", async (test) => {
    const file = join(temporaryFolder(test), "schema.json");
    writeFileSync(file, JSON.stringify(PERSON));
    const prompt = ["generate", "--model", DEMO_MODEL, "--prompt", "Tell me", "--max-tokens", "200", "--json"];
    const [result] = jsonLines<ResultLine>(await moesaic([...prompt, "--json-schema", file]));
    assert.ok("age" in (JSON.parse(result!.text) as object));
    const choice = jsonLines<ResultLine>(await moesaic([...prompt, "--choice", "a b", "--choice", "c"]));
    assert.ok(["a b", "c"].includes(choice[0]!.text));
    const refused = jsonLines<ResultLine>(await moesaic([...prompt, "--regex", "(a"]));
    assert.deepEqual(refused[0]!.error?.code, "invalid_argument");
    assert.match(refused[0]!.error?.message ?? "", /character 3/);
    assert.equal((await moesaic([...prompt, "--regex", "a", "--choice", "b"])).code, 2);
  });
});

async function run(test: TestContext, lines: readonly object[], flags: readonly string[]): Promise<ResultLine[]> {
  const file = join(temporaryFolder(test), "requests.jsonl");
  writeFileSync(file, lines.map((line) => JSON.stringify(line)).join("\n"));
  return jsonLines(await moesaic(["generate", "--model", DEMO_MODEL, "--input", file, "--json", ...flags]));
}
