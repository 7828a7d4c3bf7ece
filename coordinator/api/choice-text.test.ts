import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { v1 } from "../../proto/messages.js";
import { HarmonyText } from "./choice-text.js";
import { loadDemoTokenizer } from "./text/demo-model.js";
import { type HarmonyTokenIds, harmonyTokenIds } from "./text/harmony.js";
import type { Tokenizer } from "./text/tokenizer.js";

describe("HarmonyText", () => {
  let tokenizer: Tokenizer;
  let harmony: HarmonyTokenIds;
  before(async () => {
    tokenizer = await loadDemoTokenizer();
    harmony = harmonyTokenIds(tokenizer)!;
  });

  /** One line per run of deltas of a kind: `KIND[ name#index] text`; the last line is the stop string, if one came. */
  const read = (completion: string, stops: string[] = []): string[] => {
    const text = new HarmonyText(tokenizer, harmony, stops, "r-0");
    const lines: [string, string][] = [];
    const take = (deltas: v1.TextDelta.$Properties[]): void => {
      for (const { kind, text, tool_name, tool_call_index } of deltas) {
        const label = v1.TextDelta.Kind[kind ?? 0]! + (tool_name ? ` ${tool_name}#${tool_call_index}` : "");
        if (lines.at(-1)?.[0] === label) lines.at(-1)![1] += text;
        else lines.push([label, text ?? ""]);
      }
    };
    for (const tokenId of tokenizer.encodeWithSpecials(completion)) {
      const { deltas, stopString } = text.push(tokenId);
      take(deltas);
      if (stopString !== null) return [...lines.map((line) => line.join(" ")), `stop ${stopString}`];
    }
    take(text.finish());
    return lines.map((line) => line.join(" "));
  };

  it("keeps reasoning, preambles, answers and calls apart", () => {
    const completion =
      "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>" +
      "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>";
    assert.deepEqual(read(completion), ["REASONING Hm.", "CONTENT I look.", "TOOL_CALL f#0 {}"]);
  });

  // The body of a call on the analysis channel was shown as reasoning, and the call was never made.
  it("knows a call by its recipient, whatever its channel", () => {
    assert.deepEqual(read("<|channel|>analysis to=functions.f code<|message|>{}<|call|>"), ["TOOL_CALL f#0 {}"]);
    assert.deepEqual(read("<|channel|>analysis to=python code<|message|>1+1<|call|>"), ["TOOL_CALL python#0 1+1"]);
  });

  it("ends at a stop string in the answer, and not in the reasoning or in arguments", () => {
    const completion =
      "<|channel|>analysis<|message|>stop<|end|><|start|>assistant to=functions.f<|message|>stop<|end|>" +
      "<|start|>assistant<|channel|>final<|message|>do stop here<|return|>";
    assert.deepEqual(read(completion, ["stop"]), ["REASONING stop", "TOOL_CALL f#0 stop", "CONTENT do ", "stop stop"]);
  });

  // The end of a preamble came out behind the call that followed it.
  it("shows what a stop string held back before the next message begins", () => {
    const completion =
      "<|channel|>commentary<|message|>I st<|end|><|start|>assistant to=functions.f<|message|>{}<|call|>";
    assert.deepEqual(read(completion, ["stop"]), ["CONTENT I st", "TOOL_CALL f#0 {}"]);
    const parts = "<|channel|>commentary<|message|>st<|end|><|start|>assistant<|channel|>final<|message|>op<|return|>";
    assert.deepEqual(read(parts, ["stop"]), ["CONTENT stop"]);
  });
});
