import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { harmonyTokenIds, harmonyStopTokenIds, type HarmonyTokenIds } from "../api/text/harmony.js";
import { Dice } from "../api/text/harmony-streams.js";
import { loadDemoTokenizer, loadGoldens } from "../api/text/demo-model.js";
import { functionNameOf } from "../api/text/harmony-header.js";
import { HarmonyParser } from "../api/text/harmony-parser.js";
import type { Tokenizer } from "../api/text/tokenizer.js";
import { DEAD } from "./lazy-automaton.js";
import { Grammar, type TokenSet } from "./grammar.js";
import {
  compileGrammar,
  type ConstrainedTool,
  type ContentConstraint,
  type GrammarSpec,
  type ToolUse,
} from "./grammar-spec.js";
import { Vocabulary } from "./vocabulary.js";
import { vocabularyTable } from "./vocabulary-table.js";

describe("Grammar", () => {
  let tokenizer: Tokenizer;
  let harmony: HarmonyTokenIds;
  let vocabulary: Vocabulary;
  let controlIds: number[];
  before(async () => {
    tokenizer = await loadDemoTokenizer();
    harmony = harmonyTokenIds(tokenizer)!;
    controlIds = [...new Set(Object.values(harmony).filter((id) => id !== undefined))];
    vocabulary = new Vocabulary(vocabularyTable(tokenizer, tokenizer.vocabSize, controlIds));
  });

  const grammarOf = (content: ContentConstraint | null, chat: GrammarSpec["chat"] = null): Grammar =>
    new Grammar(compileGrammar({ content, chat, stopIds: harmonyStopTokenIds(harmony) }, controlIds), vocabulary);
  const schemaOf = (schema: unknown): ContentConstraint => ({
    kind: "json_schema",
    schema,
    place: "constraint.json_schema",
  });
  const regexOf = (pattern: string): ContentConstraint => ({ kind: "regex", pattern, place: "constraint.regex" });

  /** Whether a whole text, then a stop token, is read; token by token as the tokenizer splits it. */
  const reads = (grammar: Grammar, text: string): boolean => {
    let state: number = Grammar.START;
    for (const tokenId of [...tokenizer.encodeOrdinary(text), harmony.return!]) {
      state = grammar.advance(state, tokenId);
      if (state === DEAD) return false;
    }
    return grammar.isAccepting(state);
  };
  const check = (content: ContentConstraint, right: readonly string[], wrong: readonly string[]): void => {
    const grammar = grammarOf(content);
    for (const text of right) assert.ok(reads(grammar, text), `refused ${text}`);
    for (const text of wrong) assert.ok(!reads(grammar, text), `took ${text}`);
  };

  it("reads what a regular expression of JavaScript matches, and nothing else", () => {
    const texts = [
      "",
      "a",
      "b",
      "ab",
      "abc",
      "aab",
      "cab",
      "xé",
      "漢字",
      "😀",
      "a.b",
      "2024-01-31",
      "-12",
      "_x9",
      "\n",
      " ",
    ];
    const patterns = [
      ...[
        "a*b?",
        "(ab|cab)c?",
        "[^a]+",
        ".",
        ".{2}",
        "\\d{4}-\\d{2}-\\d{2}",
        "-?[1-9]\\d*",
        "\\w+",
        "\\W",
        "\\s",
        "[\\u4e00-\\u9fff]+",
      ],
      ...[
        "\\p{L}+",
        "\\P{L}*",
        "[^\\p{L}\\d]+",
        "a\\.b",
        "(?:a|b){1,3}?",
        "(?<name>a)b",
        "|a",
        "^ab$",
        "😀",
        "[😀-😂]",
        "\\u{1F600}",
        "(a*)*b",
      ],
      ...["x\\xe9", "[\\w.-]+", "[a\\]]", "()", "(a{0,2}){2}b"],
    ];
    for (const pattern of patterns) {
      const grammar = grammarOf(regexOf(pattern));
      const expected = new RegExp(`^(?:${pattern})$`, "u");
      for (const text of texts) assert.equal(reads(grammar, text), expected.test(text), `/${pattern}/ on ${text}`);
    }
  });

  it("refuses what no automaton can do, and broken patterns, with their character", () => {
    const faults: [string, RegExp][] = [
      ["(a", /character 3: found the end: a group is not closed/],
      ["a)", /character 2/],
      ["[a", /character 3: found the end: a class is not closed/],
      ["a**", /character 3: found a repetition of a repetition/],
      ["*a", /character 1: found a repetition of nothing/],
      ["(?=a)", /lookahead/],
      ["(?<!a)b", /lookbehind/],
      ["(a)\\1", /character 5: found a back reference/],
      ["\\bfoo", /word border/],
      ["a$b", /text after \$/],
      ["a{3,1}", /at least 3 and at most 1/],
      ["[b-a]", /does not rise/],
      ["\\p{Nothing}", /no Unicode property/],
      ["(".repeat(200) + ")".repeat(200), /groups within each other/],
      ["a{100000}", /more than 40000 states/],
      ["((a{1,999}){1,999}){1,999}", /more than 40000 states/],
      ["((){1,999999}){1,999999}", /more than 40000 states/],
      ["a".repeat(20_000), /at most 16384 characters/],
    ];
    for (const [pattern, message] of faults) {
      assert.throws(() => grammarOf(regexOf(pattern)), { code: "invalid_argument", message }, pattern);
    }
  });

  it("reads JSON of a schema", () => {
    const person = {
      type: "object",
      properties: {
        name: { type: "string" },
        age: { type: "integer", minimum: 0, maximum: 130 },
        tags: { type: "array", items: { enum: ["a", "b"] } },
      },
      required: ["name", "age"],
    };
    check(
      schemaOf(person),
      [
        '{"name":"x","age":3}',
        '{"name": "Zoë \\n \\u0041", "age": 130, "tags": []}',
        '{\n  "name": "", "age": 0, "tags": ["a", "b", "a"]\n}',
      ],
      [
        '{"name":"x"}',
        '{"age":3,"name":"x"}',
        '{"name":"x","age":131}',
        '{"name":"x","age":3,"x":1}',
        '{"name":"a\n","age":3}',
        '{"name":"x","age":03}',
        '{"name":"x","age":3,}',
        '{"name":"x","age":3',
        "{}",
        '{"name":"x","age":3,"tags":["c"]}',
      ],
    );
    check(
      schemaOf({ const: { a: [1, "x", null] } }),
      ['{"a": [1, "x", null]}', '{"a":[1,"x",null]}'],
      ['{"a":[1,"x"]}'],
    );
    check(
      schemaOf({ type: ["string", "null"], minLength: 2, maxLength: 3 }),
      ["null", '"ab"', '"漢字x"', '"\\"\\\\"'],
      ['"a"', '"abcd"', "1"],
    );
    check(schemaOf({ type: "string", pattern: "^[a-z]+\\d$" }), ['"ab1"'], ['"ab"', '"1"', '"ab1 "']);
    check(schemaOf({ type: "string", pattern: 'a"b|^x' }), ['"-a\\"b-"', '"xyz"'], ['"a"', '"yx"']);
    check(
      schemaOf({ type: "string", format: "date-time" }),
      ['"2024-02-29T23:59:59Z"', '"2024-02-29T23:59:59.5+01:00"'],
      ['"2024-13-01T00:00:00Z"', '"now"'],
    );
    check(
      schemaOf({
        type: "array",
        prefixItems: [{ type: "integer" }],
        items: { type: "boolean" },
        minItems: 2,
        maxItems: 3,
      }),
      ["[1, true]", "[1,true,false]"],
      ["[1]", "[true,true]", "[1,true,true,true]"],
    );
    check(
      schemaOf({ type: "array", items: { type: "integer" }, maxItems: 2 }),
      ["[]", "[1]", "[1,2]"],
      ["[1,2,3]", "[,]"],
    );
    check(
      schemaOf({ type: "array", prefixItems: [{ type: "integer" }, { type: "string" }], items: false }),
      ["[]", "[1]", '[1,"a"]'],
      ['[1,"a",2]'],
    );
    check(
      schemaOf({ type: "object", properties: { a: { type: "integer" } }, additionalProperties: { type: "boolean" } }),
      ['{"a":1}', '{"b":true}', '{"a":1,"ab":true,"":false}', "{}"],
      ['{"a":true}', '{"b":1}', '{"a":1,"a":true}', '{"\\u0061":true}'],
    );
    check(
      schemaOf({ anyOf: [{ type: "integer" }, { type: "object", properties: { a: true }, required: ["a"] }] }),
      ["1", '{"a":{"b":[1.5e3,{}]}}'],
      ["1.5", "{}"],
    );
    check(
      schemaOf({
        allOf: [
          { type: "object", properties: { a: { type: "integer" } }, required: ["a"] },
          { properties: { b: { type: "string" } } },
        ],
      }),
      ['{"a":1,"b":"x"}', '{"a":1}'],
      ['{"b":"x"}'],
    );
    check(schemaOf({}), ["1", '"x"', "[[]]", '{"a":null}', "-0.5E+10"], ["", "tru", "[1", "01", "1.", "+1", "{a:1}"]);
  });

  it("follows references, to itself too", () => {
    const list = {
      $defs: {
        node: {
          type: "object",
          properties: { v: { type: "number" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          required: ["v", "next"],
        },
      },
      $ref: "#/$defs/node",
    };
    check(
      schemaOf(list),
      ['{"v":1,"next":null}', '{"v":1,"next":{"v":2.5,"next":{"v":3,"next":null}}}'],
      ['{"v":1}', '{"v":1,"next":{"v":1}}'],
    );
    const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    check(schemaOf({ type: "array", items: { $ref: "#" } }), [deep(1), deep(30), "[[],[[]]]"], [deep(200), "[1]"]);
    check(schemaOf({ definitions: { "a/b": { const: 1 } }, $ref: "#/definitions/a~1b" }), ["1"], ["2"]);
  });

  it("keeps numbers within their bounds", () => {
    const numbers = [
      ...[0, 1, 2, 9, 10, 11, 17, 18, 99, 100, 101, 1234, 5000, 5001, -1, -2, -9, -10, -11, -100, -5000],
      ...[0.5, 0.25, 0.049, 0.05, 0.051, 1.99, 2.25, 2.250001, 9.99, 10.01, -0.5, -0.25, -1.5, -10.01],
    ];
    const bounds = [
      { minimum: 3, maximum: 17 },
      { minimum: 0 },
      { exclusiveMinimum: 0 },
      { maximum: -1 },
      { exclusiveMaximum: 0 },
      { minimum: -10, maximum: 10 },
      { minimum: -100, exclusiveMaximum: -9 },
      { minimum: 0.05, maximum: 2.25 },
      { exclusiveMinimum: 0.05, exclusiveMaximum: 2.25 },
      { minimum: -0.25, maximum: 0.25 },
      { minimum: 99, maximum: 5000 },
      { minimum: 1e-3, maximum: 1e3 },
      { minimum: -1.5, exclusiveMaximum: 0.5 },
    ];
    for (const type of ["integer", "number"]) {
      for (const bound of bounds) {
        const grammar = grammarOf(schemaOf({ type, ...bound }));
        for (const value of numbers) {
          const isWithin =
            value >= (bound.minimum ?? -Infinity) &&
            value <= (bound.maximum ?? Infinity) &&
            value > (bound.exclusiveMinimum ?? -Infinity) &&
            value < (bound.exclusiveMaximum ?? Infinity) &&
            (type === "number" || Number.isInteger(value));
          assert.equal(reads(grammar, String(value)), isWithin, `${type} ${value} in ${JSON.stringify(bound)}`);
        }
      }
    }
    assert.ok(reads(grammarOf(schemaOf({ type: "number", minimum: 2, maximum: 2 })), "2.000"));
    assert.throws(() => grammarOf(schemaOf({ type: "integer", exclusiveMinimum: 1, exclusiveMaximum: 2 })), {
      code: "invalid_argument",
    });
  });

  it("refuses a schema that it could not enforce, with the keyword's place", () => {
    const faults: [unknown, string, RegExp][] = [
      [{ type: "object", properties: { a: { not: {} } } }, "#/properties/a/not", /cannot be enforced/],
      [{ type: "integer", multipleOf: 7 }, "#/multipleOf", /cannot be enforced/],
      [{ type: "array", uniqueItems: true }, "#/uniqueItems", /cannot be enforced/],
      [{ type: "foo" }, "#/type", /expected one of null/],
      [{ $ref: "#/nope" }, "#/$ref", /refers to nothing/],
      [{ $ref: "https://example.com/x" }, "#/$ref", /local reference/],
      [{ $ref: "#" }, "#", /refers to itself/],
      [{ anyOf: [{ $ref: "#" }, { type: "null" }] }, "#", /refers to itself/],
      [{ anyOf: [] }, "#/anyOf", /not empty/],
      [{ properties: { a: false }, required: ["a"] }, "#/properties/a", /no value at all/],
      [{ properties: { a: { pattern: "(" } } }, "#/properties/a/pattern", /group is not closed/],
      [{ type: "string", minLength: 3, maxLength: 2 }, "#", /no string has/],
      [{ type: "string", minLength: -1 }, "#/minLength", /integer from 0/],
      [{ allOf: [{ type: "string" }, { type: "integer" }] }, "#/type", /cannot be put together/],
      [7, "#", /expected a schema/],
    ];
    for (const [schema, place, message] of faults) {
      const expected = { code: "invalid_argument", place: `constraint.json_schema${place}`, message };
      assert.throws(() => grammarOf(schemaOf(schema)), expected, JSON.stringify(schema));
    }
  });

  it("does not hang on hostile constraints", () => {
    let nested: unknown = { type: "string" };
    for (let depth = 0; depth < 5000; depth++) nested = { type: "array", items: nested };
    assert.throws(() => grammarOf(schemaOf(nested)), { code: "invalid_argument", message: /levels of nesting/ });
    const defs = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => {
        const next = { $ref: `#/$defs/d${n + 1}`, type: "array" };
        return [`d${n}`, { type: "array", prefixItems: [next, next] }];
      }),
    );
    const doubling = { $defs: { ...defs, d40: { type: "array" } }, $ref: "#/$defs/d0" };
    assert.throws(() => grammarOf(schemaOf(doubling)), { code: "invalid_argument" });
    assert.throws(() => grammarOf(schemaOf({ type: "string", maxLength: 1e9 })), { code: "invalid_argument" });
    const ambiguous = grammarOf(regexOf("(a|b)*a(a|b){40}"));
    assert.throws(
      () => {
        const dice = new Dice(1);
        const letters = ["a", "b"].map((letter) => tokenizer.encodeOrdinary(letter)[0]!);
        for (let state: number = Grammar.START; ;) {
          ambiguous.nextTokens(state);
          state = ambiguous.advance(state, dice.pick(letters));
        }
      },
      { code: "resource_exhausted", message: /the constraint has/ },
    );
  });

  it("allows exactly the tokens after which it is not dead, and knows those that change nothing", () => {
    const grammar = grammarOf(
      schemaOf({ type: "object", properties: { a: { type: "string", maxLength: 40 }, b: {} }, required: ["a", "b"] }),
    );
    const dice = new Dice(5);
    let state: number = Grammar.START;
    for (let times = 0; times < 60 && !grammar.isAccepting(state); times++) {
      const { allowed, staying } = grammar.nextTokens(state);
      for (let tokenId = 0; tokenId < tokenizer.vocabSize; tokenId++) {
        const next = grammar.advance(state, tokenId);
        assert.equal(has(allowed, tokenId), next !== DEAD, `token ${tokenId} in state ${state}`);
        assert.equal(has(staying, tokenId), next === state);
      }
      state = grammar.advance(state, dice.pick(idsOf(allowed)));
    }
  });

  it("gives texts that the schema allows, whatever a model prefers", () => {
    const schema = {
      type: "object",
      properties: {
        id: { type: "integer", minimum: 1, maximum: 999 },
        name: { type: "string", minLength: 1, maxLength: 8 },
        kind: { enum: ["a", "b", null] },
        at: { type: "string", format: "date" },
        size: { type: "number", exclusiveMinimum: 0, maximum: 2.5 },
        list: { type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 3 },
      },
      required: ["id", "name", "kind", "at", "size"],
      additionalProperties: false,
    };
    const grammar = grammarOf(schemaOf(schema));
    for (let seed = 0; seed < 60; seed++) {
      const value = JSON.parse(randomText(grammar, seed)) as Record<string, unknown>;
      assert.ok(Number.isInteger(value["id"]) && Number(value["id"]) >= 1 && Number(value["id"]) <= 999);
      const name = Array.from(String(value["name"]));
      assert.ok(name.length >= 1 && name.length <= 8, `${name.length} characters`);
      assert.ok([null, "a", "b"].includes(value["kind"] as string | null));
      assert.match(String(value["at"]), /^\d{4}-\d\d-\d\d$/);
      assert.ok(Number(value["size"]) > 0 && Number(value["size"]) <= 2.5);
      const list = (value["list"] ?? [true]) as unknown[];
      assert.ok(list.length >= 1 && list.length <= 3 && list.every((item) => typeof item === "boolean"));
      const known = Object.keys(schema.properties);
      assert.ok(Object.keys(value).every((key) => known.includes(key)));
    }
  });

  describe("of a chat", () => {
    const weather = {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] },
      isStrict: true,
      place: "",
    };
    const clock = { name: "clock", parameters: null, isStrict: true, place: "" };
    const free = (tool: ConstrainedTool): ConstrainedTool => ({ ...tool, isStrict: false });
    const chatOf = (toolUse: ToolUse, tools: ConstrainedTool[] = [weather, clock]): GrammarSpec["chat"] => {
      const { start, channel, message, end, constrain, call } = harmony;
      return { ids: { start, channel, message, end, constrain: constrain!, call: call! }, tools, toolUse };
    };
    const number = schemaOf({ type: "integer", minimum: 1, maximum: 12 });

    const takes = (grammar: Grammar, completion: string): boolean => {
      let state: number = Grammar.START;
      for (const tokenId of tokenizer.encodeWithSpecials(completion)) {
        state = grammar.advance(state, tokenId);
        if (state === DEAD) return false;
      }
      return grammar.isAccepting(state);
    };

    // The grammar was applied from the first token on: no control token could come, and the answer was full of noise.
    it("leaves reasoning free and constrains the final channel alone", () => {
      const grammar = grammarOf(number, chatOf("none", []));
      const thought = "<|channel|>analysis<|message|>Hm {]!<|end|><|start|>assistant";
      for (const before of ["", thought, thought + thought]) {
        for (const type of ["", " json", " <|constrain|>json", "<|constrain|>json"]) {
          assert.ok(takes(grammar, `${before}<|channel|>final${type}<|message|>12<|return|>`), before + type);
        }
        assert.ok(!takes(grammar, `${before}<|channel|>final<|message|>13<|return|>`));
      }
      assert.ok(!takes(grammar, `${thought}<|return|>`));
      assert.ok(!takes(grammar, "<|channel|>commentary to=functions.clock<|message|>{}<|call|>"));
    });

    // A JSON answer was not JSON: the content that clients saw began with a preamble.
    it("has no preamble before an answer that is constrained, and any before a free one", () => {
      const preamble = "<|channel|>commentary<|message|>I count.<|end|><|start|>assistant";
      const answer = "<|channel|>final<|message|>12<|return|>";
      assert.ok(!takes(grammarOf(number, chatOf("none", [])), preamble + answer));
      assert.ok(takes(grammarOf(null, chatOf("none", [])), preamble + answer));
    });

    it("lets an answer or a call come where tools may be called, with arguments of the schema where it is strict", () => {
      const grammar = grammarOf(number, chatOf("auto", [weather, free(clock)]));
      assert.ok(takes(grammar, "<|channel|>final<|message|>1<|return|>"));
      assert.ok(takes(grammar, "<|channel|>commentary to=functions.clock json<|message|>whatever<|call|>"));
      assert.ok(
        takes(grammar, '<|channel|>commentary to=functions.get_weather json<|message|>{"city": "Rome"}<|call|>'),
      );
      assert.ok(!takes(grammar, "<|channel|>commentary to=functions.get_weather json<|message|>whatever<|call|>"));
      assert.ok(!takes(grammar, "<|channel|>commentary to=functions.other json<|message|>{}<|call|>"));
    });

    it("forces a call with arguments of its schema, in every order of the header", () => {
      const grammar = grammarOf(null, chatOf("required"));
      for (const header of [
        "<|channel|>commentary to=functions.get_weather <|constrain|>json",
        "<|channel|>commentary to=functions.get_weather<|constrain|>json",
        "<|channel|>commentary to=functions.get_weather json",
        "<|channel|>commentary to=functions.get_weather",
        " to=functions.get_weather<|channel|>commentary <|constrain|>json",
      ]) {
        assert.ok(takes(grammar, `${header}<|message|>{"city": "Rome"}<|call|>`), header);
        assert.ok(!takes(grammar, `${header}<|message|>{"city": "Bonn"}<|call|>`), header);
        assert.ok(!takes(grammar, `${header}<|message|>{"city": "Rome"}<|end|>`), header);
      }
      assert.ok(takes(grammar, '<|channel|>commentary to=functions.clock json<|message|>{"any": [1]}<|call|>'));
      assert.ok(!takes(grammar, "<|channel|>final<|message|>No.<|return|>"));
      assert.ok(!takes(grammarOf(null, chatOf("required", [clock])), "<|channel|>commentary to=functions.get_weather"));
    });

    it("reads what the trained model writes, and the parser reads what the grammar lets through", async () => {
      const whole = grammarOf(null, chatOf("auto", [free(weather), free(clock)]));
      for (const { generatedTokenIds, parsed } of await loadGoldens()) {
        let state: number = Grammar.START;
        for (const tokenId of generatedTokenIds) state = state === DEAD ? DEAD : whole.advance(state, tokenId);
        const isKnown = parsed.call === null || ["get_weather", "clock"].includes(parsed.call.name);
        assert.equal(
          state !== DEAD && whole.isAccepting(state),
          isKnown,
          tokenizer.decode(generatedTokenIds, { skipSpecial: false }),
        );
      }
      for (let seed = 0; seed < 30; seed++) {
        const said = spoken(randomTokens(grammarOf(number, chatOf("auto")), seed));
        if (said.calls.length === 0) assert.ok(Number(said.content.at(-1)) >= 1 && Number(said.content.at(-1)) <= 12);
        const called = spoken(randomTokens(grammarOf(null, chatOf("required", [weather])), seed));
        assert.deepEqual(
          called.calls.map(({ name }) => name),
          ["get_weather"],
        );
        assert.ok(["Paris", "Rome"].includes((JSON.parse(called.calls[0]!.text) as { city: string }).city));
      }
    });

    const spoken = (tokenIds: readonly number[]): { content: string[]; calls: { name: string; text: string }[] } => {
      const content: string[] = [];
      const calls: { name: string; text: string }[] = [];
      const parser = new HarmonyParser(tokenizer, harmony);
      for (const event of [...parser.push(tokenIds), ...parser.finish()]) {
        const name = functionNameOf(event);
        if (event.type === "message_start" && event.channel === "final") content.push("");
        if (event.type === "message_start" && name !== undefined) calls.push({ name, text: "" });
        if (event.type !== "text") continue;
        if (name !== undefined) calls.at(-1)!.text += event.delta;
        else if (event.channel === "final") content.push(content.pop()! + event.delta);
      }
      return { content, calls };
    };
  });

  /** What a model without any preference writes. */
  const randomText = (grammar: Grammar, seed: number): string => {
    const tokenIds = randomTokens(grammar, seed);
    assert.ok(tokenizer.isSpecial(tokenIds.pop()!));
    return tokenizer.decode(tokenIds, { skipSpecial: false });
  };

  /** Of control tokens one in three, so that free text ends. */
  const randomTokens = (grammar: Grammar, seed: number): number[] => {
    const dice = new Dice(seed);
    const tokenIds: number[] = [];
    for (let state: number = Grammar.START; !grammar.isAccepting(state);) {
      const ids = idsOf(grammar.nextTokens(state).allowed);
      const controls = ids.filter((tokenId) => tokenizer.isSpecial(tokenId));
      tokenIds.push(dice.pick(controls.length > 0 && dice.below(3) === 0 ? controls : ids));
      state = grammar.advance(state, tokenIds.at(-1)!);
    }
    return tokenIds;
  };
});

function has({ words }: TokenSet, tokenId: number): boolean {
  return ((words[tokenId >>> 5]! >>> (tokenId & 31)) & 1) === 1;
}

function idsOf(set: TokenSet): number[] {
  const ids = Array.from({ length: set.words.length * 32 }, (_, tokenId) => tokenId).filter((tokenId) =>
    has(set, tokenId),
  );
  assert.equal(ids.length, set.size);
  return ids;
}
