import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import * as fc from "fast-check";
import { type GoldenParsed, loadDemoTokenizer, loadGoldens } from "./demo-model.js";
import { type HarmonyTokenIds, harmonyTokenIds } from "./harmony.js";
import { destinationOf, functionNameOf } from "./harmony-header.js";
import { type HarmonyEvent, HarmonyParser } from "./harmony-parser.js";
import type { Tokenizer } from "./tokenizer.js";

describe("HarmonyParser", () => {
  let tokenizer: Tokenizer;
  let harmony: HarmonyTokenIds;
  before(async () => {
    tokenizer = await loadDemoTokenizer();
    const found = harmonyTokenIds(tokenizer);
    assert.ok(found);
    harmony = found;
  });

  const parse = (parts: readonly (readonly number[])[]): HarmonyEvent[] => {
    const parser = new HarmonyParser(tokenizer, harmony);
    return merged([...parts.flatMap((part) => parser.push(part)), ...parser.finish()]);
  };
  /** One line per message: `channel[>recipient] "text" reason`. */
  const read = (text: string): string[] => linesOf(parse([tokenizer.encodeWithSpecials(text)]));

  it("reads the golden generations as the reference does", async () => {
    const goldens = await loadGoldens();
    assert.equal(goldens.length, 72);
    for (const golden of goldens) assert.deepEqual(goldenOf(parse([golden.generatedTokenIds])), golden.parsed);
  });

  // The ids are control tokens half of the time, so that every state meets every control token. Ordinary tokens that
  // hold a `<` are left out: then a `<|` in the text could only come from a control token.
  it("reads any token ids, the same however they are split, without a control token in the text", () => {
    const specials = [...Array(32).keys()].map((index) => 2016 + index);
    const words = ["assistant", "user", "analysis", "final", " to", "=", "functions", ".f", " json", " ", "漢"];
    const tokenId = fc.oneof(
      fc.constantFrom(...specials, ...Object.values(harmony).filter((id) => id !== undefined)),
      fc.constantFrom(...words.flatMap((word) => tokenizer.encodeOrdinary(word))),
      fc.integer({ min: -1, max: 2016 }).filter((id) => !tokenizer.tokenBytes(id).includes("<".charCodeAt(0))),
    );
    fc.assert(
      fc.property(fc.array(fc.array(tokenId, { maxLength: 8 }), { maxLength: 10 }), (parts) => {
        const events = parse(parts);
        assert.deepEqual(events, parse([parts.flat()]));
        assertWellFormed(events);
        assert.ok(!textOf(events).includes("<|"));
      }),
      { seed: 4, numRuns: 2000 },
    );
  });

  it("streams text as it comes, with its channel", () => {
    const parser = new HarmonyParser(tokenizer, harmony);
    assert.deepEqual(parser.push(tokenizer.encodeWithSpecials("<|channel|>analysis")), []);
    const start = { type: "message_start", channel: "analysis" };
    assert.deepEqual(parser.push([harmony.message]), [start]);
    assert.deepEqual(parser.push(tokenizer.encodeOrdinary("7")), [{ type: "text", channel: "analysis", delta: "7" }]);
    assert.deepEqual(parser.push([harmony.end]), [{ type: "message_end", channel: "analysis", reason: "end" }]);
    assert.deepEqual(parser.finish(), []);
  });

  it("goes on after <|end|>: the answer follows the reasoning", () => {
    const text = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>";
    assert.deepEqual(read(text), ['analysis "Hm." end', 'final "4" return']);
  });

  it("keeps the text of a generation that was cut", () => {
    assert.deepEqual(read("<|channel|>final<|message|>Once upon"), ['final "Once upon" cut']);
  });

  it("shows a preamble: commentary without recipient", () => {
    const [event] = parse([tokenizer.encodeWithSpecials("<|channel|>commentary<|message|>I look it up.<|end|>")]);
    assert.ok(event);
    assert.equal(destinationOf(event), "text");
  });

  it("finds the function in the channel part or the role part, on any channel, with any content type or none", () => {
    const headers = [
      "<|channel|>commentary to=functions.get_weather <|constrain|>json",
      "<|channel|>commentary to=functions.get_weather<|constrain|>json",
      "<|channel|>commentary to=functions.get_weather json",
      "<|channel|>commentary to=functions.get_weather",
      "<|channel|>commentary functions.get_weather <|constrain|>json",
      "<|channel|>commentary <|constrain|>json to=functions.get_weather",
      " to=functions.get_weather<|channel|>commentary <|constrain|>json",
      " to=functions.get_weather<|channel|>commentary json",
      " to=functions.get_weather",
      "assistant to=functions.get_weather<|channel|>commentary",
      "<|start|>assistant to=functions.get_weather<|channel|>commentary",
      "<|start|> to=functions.get_weather<|channel|>commentary",
      "<|channel|>to=functions.get_weather",
    ];
    for (const header of headers) {
      assert.deepEqual(read(`${header}<|message|>{}<|call|>`), ['commentary>functions.get_weather "{}" call'], header);
    }
    const onAnalysis = "<|channel|>analysis to=functions.get_weather code<|message|>{}<|call|>";
    assert.deepEqual(read(onAnalysis), ['analysis>functions.get_weather "{}" call']);
  });

  it("keeps the dots of a function's name, and tells functions from built-in tools", () => {
    assert.equal(functionNameOf({ channel: "commentary", recipient: "functions.ns.f" }), "ns.f");
    assert.equal(destinationOf({ channel: "analysis", recipient: "functions.f" }), "function_call");
    assert.equal(destinationOf({ channel: "analysis", recipient: "browser.search" }), "builtin");
    assert.equal(destinationOf({ channel: "analysis" }), "reasoning");
    assert.equal(destinationOf({ channel: "final" }), "text");
  });

  it("takes a terminator in a header as the end of a message whose <|message|> is missing", () => {
    assert.deepEqual(read("<|channel|>final Hello there.<|return|>"), ['final "Hello there." return']);
    assert.deepEqual(read("Hello there.<|return|>"), ['final "Hello there." return']);
    assert.deepEqual(read("<|channel|>commentary to=functions.f <|constrain|>json<|call|>"), [
      'commentary>functions.f "" call',
    ]);
    const noMessage = '<|channel|>commentary to=functions.f <|constrain|>json{"x":1}<|call|>';
    assert.deepEqual(read(noMessage), ['commentary>functions.f "{"x":1}" call']);
    assert.deepEqual(read("<|channel|>analysis<|return|>"), []);
    assert.deepEqual(read("<|return|>"), []);
  });

  it("says nothing of a header in which the generation was cut", () => {
    for (const header of ["", " to", " to=functions.ge", "<|channel|>", "<|channel|>ana", "<|channel|>final json"]) {
      assert.deepEqual(read(header), [], header);
    }
    assert.deepEqual(read("<|channel|>commentary to=functions.f <|constrain|>js"), []);
  });

  it("closes a message at a <|start|> or <|channel|> that follows without <|end|>", () => {
    const withStart = "<|channel|>analysis<|message|>Hm.<|start|>assistant<|channel|>final<|message|>4<|return|>";
    const withChannel = "<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>4<|return|>";
    for (const text of [withStart, withChannel])
      assert.deepEqual(read(text), ['analysis "Hm." cut', 'final "4" return']);
  });

  it("reads over doubled control tokens, headers and text before <|start|>", () => {
    const heads = [
      "<|start|><|start|>assistant<|channel|>final<|message|>",
      "<|start|>assistant<|start|>assistant<|channel|>final<|message|>",
      "<|channel|>analysis<|channel|>final<|message|>",
      "<|channel|>final<|message|><|message|>",
      "junk<|start|>assistant<|channel|>final<|message|>",
      "<|end|><|end|>\n<|start|>assistant<|channel|>final<|message|>",
      "assistant<|channel|>final<|message|>",
      "<|channel|>final <|constrain|>json<|message|>",
      "<|message|>",
    ];
    for (const head of heads) assert.deepEqual(read(`${head}4<|return|>`), ['final "4" return'], head);
  });

  it("shows an unknown channel as an answer, or as a call when it has a recipient", () => {
    assert.deepEqual(read("<|channel|>musing<|message|>Hm.<|end|>"), ['final "Hm." end']);
    assert.deepEqual(read("<|channel|>musing to=functions.f<|message|>{}<|call|>"), [
      'commentary>functions.f "{}" call',
    ]);
    assert.deepEqual(read("<|channel|>final to=all<|message|>4<|end|>"), ['final "4" end']);
  });

  it("drops messages that the model wrote in another's name", () => {
    const invented = "<|start|>functions.f to=assistant<|channel|>commentary<|message|>22 degrees<|end|>";
    const user = "<|start|>user<|message|>And tomorrow?<|end|>";
    const answer = "<|start|>assistant<|channel|>final<|message|>4<|return|>";
    assert.deepEqual(read(`<|end|>${invented}${user}${answer}`), ['final "4" return']);
    const unstarted = "<|end|>functions.f to=assistant<|channel|>commentary<|message|>22 degrees<|end|>";
    assert.deepEqual(read(`${unstarted}${answer}`), ['final "4" return']);
    assert.deepEqual(read("<|start|>user<|channel|>final And tomorrow?<|end|>"), []);
  });

  // A request for a tool whose name has a hyphen ended with status 500.
  it("reads a recipient that is written twice, glued to its to=, or behind other words of the header", () => {
    const headers = [
      "<|channel|>commentary to=functions.web-browsing to=functions.web-browsing <|constrain|>json",
      " to=functions.web-browsing<|channel|>commentary to=functions.web-browsing json",
      "<|channel|>commentary to=to=functions.web-browsing",
      "<|channel|>commentary to= functions.web-browsing json",
      "<|channel|>commentary code to=functions.web-browsing",
      "<|channel|>commentary with care to=functions.web-browsing json",
      "<|channel|>commentary <|constrain|>response to=functions.web-browsing",
      "<|channel|>––commentary to=functions.web-browsing",
      "<|channel|>commentaryto=functions.web-browsing<|constrain|>json",
      "<|channel|>commentary<|channel|>commentary to=functions.web-browsing",
      "<|start|>assistant<|start|>assistant to=functions.web-browsing<|channel|>commentary",
    ];
    const call = 'commentary>functions.web-browsing "{}" call';
    for (const header of headers) assert.deepEqual(read(`${header}<|message|>{}<|call|>`), [call], header);
  });

  // The stream ended with an error in its middle when a stop token came where a header was open.
  it("takes stop tokens anywhere in a header, as often as they come", () => {
    for (const stop of ["<|return|>", "<|call|>", "<|end|>", "<|endoftext|>"]) {
      const reason = stop === "<|end|>" ? "end" : stop === "<|call|>" ? "call" : "return";
      for (const head of ["", "<|start|>", "<|start|>assistant", "<|channel|>", "<|channel|>final", "assistant "]) {
        assert.deepEqual(read(`${head}${stop}${stop}`), [], `${head}${stop}`);
      }
      assert.deepEqual(read(`<|channel|>final<|message|>4${stop}${stop}<|return|>`), [`final "4" ${reason}`]);
      const call = `<|channel|>commentary to=functions.f${stop}`;
      assert.deepEqual(read(call), [`commentary>functions.f "" ${reason}`]);
    }
  });

  // "Unexpected token while expecting start": text between two messages ended the request.
  it("goes on after text, line breaks or terminators where a <|start|> should be", () => {
    const thought = "<|channel|>analysis<|message|>Hm.<|end|>";
    const answer = "<|channel|>final<|message|>4<|return|>";
    for (const between of ["\n", "<|end|>", "assistant", "\n\nassistant", "<|end|>assistant", "<|start|><|start|>"]) {
      assert.deepEqual(read(`${thought}${between}${answer}`), ['analysis "Hm." end', 'final "4" return'], between);
    }
    assert.deepEqual(read(`${thought}We need<|return|>`), ['analysis "Hm." end', 'final "We need" return']);
  });

  // Reasoning was shown as an answer because its first word was glued to the channel's name.
  it("knows a channel whatever is glued to its name", () => {
    assert.deepEqual(read("<|channel|>analysisWe need<|end|>"), ['analysis "We need" end']);
    assert.deepEqual(read("<|channel|>analysis:<|message|>We need<|end|>"), ['analysis "We need" end']);
    assert.deepEqual(read("<|channel|> finaljson<|message|>4<|return|>"), ['final "4" return']);
  });

  // The header of the answer was lost, or its control tokens came out as text, when the answer had to be JSON.
  it("reads the answer's content type and leaves no trace of it", () => {
    for (const type of [" <|constrain|>json", "<|constrain|>json", " json", " <|constrain|>", " <|constrain|>json "]) {
      const text = `<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final${type}<|message|>{}<|return|>`;
      assert.deepEqual(read(text), ['analysis "Hm." end', 'final "{}" return'], type);
    }
  });

  // The arguments of a call were cut off by max_tokens, and the request failed instead of its end being length.
  it("gives arguments as they are: cut, broken or empty", () => {
    const header = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>";
    assert.deepEqual(read(`${header}{"city": "Par`), ['commentary>functions.f "{"city": "Par" cut']);
    assert.deepEqual(read(`${header}{{]<|call|>`), ['commentary>functions.f "{{]" call']);
    assert.deepEqual(read(`${header}<|call|>`), ['commentary>functions.f "" call']);
    const noName = "<|channel|>commentary to=functions.<|message|>{}<|call|>";
    assert.deepEqual(read(noName), ['commentary>functions. "{}" call']);
    assert.equal(destinationOf({ channel: "commentary", recipient: "functions." }), "builtin");
  });

  it("ends a message in the middle of a character, and begins the next one with whole characters", () => {
    const [first = -1] = tokenizer.encodeOrdinary("漢");
    const encode = (text: string): number[] => tokenizer.encodeWithSpecials(text);
    const head = encode("<|channel|>analysis<|message|>");
    for (const border of ["<|end|><|start|>assistant<|channel|>final<|message|>", "<|channel|>final<|message|>"]) {
      const lines = linesOf(parse([[...head, first, ...encode(`${border}漢<|return|>`)]]));
      assert.deepEqual(lines.at(0)?.slice(0, 12), 'analysis "\ufffd"');
      assert.deepEqual(lines.at(1), 'final "漢" return');
    }
    // Half a character in each part of a header stays there.
    const halves = [first, harmony.channel, ...encode("final"), first, harmony.constrain ?? -1, first, harmony.message];
    assert.deepEqual(linesOf(parse([[...halves, ...encode("漢<|return|>")]])), ['final "漢" return']);
    assert.deepEqual(linesOf(parse([[first, harmony.start, ...encode("<|message|>漢<|return|>")]])), [
      'final "漢" return',
    ]);
  });

  it("splits no character where a header becomes an answer", () => {
    const tokenIds = tokenizer.encodeOrdinary("漢".repeat(100));
    for (let skip = 0; skip < 4; skip++) {
      const words = tokenizer.encodeOrdinary("a b c d ".slice(0, 2 * skip));
      const lines = linesOf(parse([[...words, ...tokenIds]]));
      assert.deepEqual(lines, [`final "${"a b c d ".slice(0, 2 * skip)}${"漢".repeat(100)}" cut`]);
    }
  });

  it("keeps control spellings that are ordinary text in the content", () => {
    const head = tokenizer.encodeWithSpecials("<|channel|>final<|message|>");
    const events = parse([[...head, ...tokenizer.encodeOrdinary("say <|end|>"), harmony.return ?? -1]]);
    assert.deepEqual(linesOf(events), ['final "say <|end|>" return']);
  });

  it("ends a message at <|endoftext|> and skips control tokens without a meaning", () => {
    const text =
      "<|reserved_2018|><|channel|>final<|startoftext|><|message|>4<|constrain|>2<|endofprompt|><|endoftext|>";
    assert.deepEqual(read(text), ['final "42" return']);
  });

  it("does not hold back an answer without <|message|> for ever", () => {
    const parser = new HarmonyParser(tokenizer, harmony);
    const tokenIds = tokenizer.encodeOrdinary("word ".repeat(200));
    assert.ok(tokenIds.length > 200);
    const events = [...parser.push(tokenIds), ...parser.finish()];
    assert.ok(events.length > 20);
    assert.deepEqual(linesOf(merged(events)), [`final "${"word ".repeat(200)}" cut`]);
  });

  it("replaces a character that the message does not finish", () => {
    const [first = -1] = tokenizer.encodeOrdinary("漢");
    const head = tokenizer.encodeWithSpecials("<|channel|>final<|message|>");
    assert.deepEqual(linesOf(parse([[...head, first, harmony.end]])), ['final "\ufffd" end']);
  });

  it("begins anew after finish", () => {
    const parser = new HarmonyParser(tokenizer, harmony);
    parser.push(tokenizer.encodeWithSpecials("<|channel|>final<|message|>a"));
    parser.finish();
    const events = parser.push(tokenizer.encodeWithSpecials("<|channel|>analysis<|message|>b<|end|>"));
    assert.deepEqual(linesOf(events), ['analysis "b" end']);
  });
});

/** Joins neighbouring texts, as a client would. */
function merged(events: HarmonyEvent[]): HarmonyEvent[] {
  const joined: HarmonyEvent[] = [];
  for (const event of events) {
    const last = joined.at(-1);
    if (event.type === "text" && last?.type === "text") last.delta += event.delta;
    else joined.push({ ...event });
  }
  return joined;
}

function linesOf(events: HarmonyEvent[]): string[] {
  const lines: string[] = [];
  let text = "";
  for (const event of events) {
    if (event.type === "message_start") text = "";
    if (event.type === "text") text += event.delta;
    const to = event.recipient === undefined ? "" : `>${event.recipient}`;
    if (event.type === "message_end") lines.push(`${event.channel}${to} "${text}" ${event.reason}`);
  }
  return lines;
}

function textOf(events: HarmonyEvent[]): string {
  return events.map((event) => (event.type === "text" ? event.delta : "")).join("");
}

/** Messages open and close in turn with one header each, and no delta is empty or broken. */
function assertWellFormed(events: HarmonyEvent[]): void {
  let open: HarmonyEvent | null = null;
  for (const event of events) {
    if (event.type === "message_start") {
      assert.equal(open, null);
      open = event;
      continue;
    }
    assert.ok(open);
    assert.deepEqual([event.channel, event.recipient], [open.channel, open.recipient]);
    if (event.type === "text") assert.ok(event.delta !== "" && Buffer.from(event.delta).toString() === event.delta);
    if (event.type === "message_end") open = null;
  }
  assert.equal(open, null);
}

function goldenOf(events: HarmonyEvent[]): GoldenParsed & { ok: boolean } {
  const parsed: GoldenParsed & { ok: boolean } = {
    ok: true,
    analysis: null,
    preamble: null,
    final: null,
    call: null,
    stop: "cut",
  };
  for (const event of events) {
    if (event.type === "message_end") parsed.stop = event.reason;
    if (event.type !== "text") continue;
    const name = functionNameOf(event);
    if (name !== undefined) parsed.call = { name, arguments: event.delta };
    else if (event.channel === "commentary") parsed.preamble = event.delta;
    else parsed[event.channel] = event.delta;
  }
  return parsed;
}
