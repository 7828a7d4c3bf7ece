import { v1 } from "../../proto/messages.js";
import { destinationOf, functionNameOf, type HarmonyHeader } from "./text/harmony-header.js";
import { HarmonyParser, type HarmonyEvent } from "./text/harmony-parser.js";
import type { HarmonyTokenIds } from "./text/harmony.js";
import { IncrementalDetokenizer } from "./text/detokenizer.js";
import type { Tokenizer } from "./text/tokenizer.js";
import { StopStrings } from "./stop-strings.js";

const { RAW, REASONING, CONTENT, TOOL_CALL } = v1.TextDelta.Kind;
type Kind = v1.TextDelta.Kind;
type TextDelta = v1.TextDelta.$Properties;

/** What a token id completed: text to show, and the stop string that ended it, if one did. */
export interface TextStep {
  deltas: TextDelta[];
  stopString: string | null;
  /** What the token is a part of; null for control tokens and the headers between them. */
  kind: Kind | null;
}

/** Turns the token ids of one choice into text deltas. */
export interface ChoiceText {
  push(tokenId: number): TextStep;
  /** The choice is over; what was held back comes out. */
  finish(): TextDelta[];
  readonly numReasoningTokens: number;
  /** Whether a tool was called. */
  readonly hasToolCall: boolean;
}

/** For models without a tokenizer: ids are all there is. */
export const noText: ChoiceText = {
  push: () => ({ deltas: [], stopString: null, kind: RAW }),
  finish: () => [],
  numReasoningTokens: 0,
  hasToolCall: false,
};

/** Text as it comes, without special tokens: completions of plain prompts, and chats of checkpoints that are not Harmony. */
export class PlainText implements ChoiceText {
  readonly numReasoningTokens = 0;
  readonly hasToolCall = false;
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: IncrementalDetokenizer;
  readonly #stops: StopStrings;
  readonly #kind: Kind;

  constructor(tokenizer: Tokenizer, stopStrings: readonly string[], isChat: boolean) {
    this.#tokenizer = tokenizer;
    this.#detokenizer = new IncrementalDetokenizer(tokenizer, { skipSpecial: true });
    this.#stops = new StopStrings(stopStrings);
    this.#kind = isChat ? CONTENT : RAW;
  }

  push(tokenId: number): TextStep {
    const { text, matched } = this.#stops.push(this.#detokenizer.push([tokenId]));
    const kind = this.#tokenizer.isSpecial(tokenId) ? null : this.#kind;
    return { deltas: this.#deltasOf(text), stopString: matched, kind };
  }

  finish(): TextDelta[] {
    const { text, matched } = this.#stops.push(this.#detokenizer.flush());
    return this.#deltasOf(matched === null ? text + this.#stops.flush() : text);
  }

  #deltasOf(text: string): TextDelta[] {
    return text === "" ? [] : [{ kind: this.#kind, text }];
  }
}

/** A Harmony completion: reasoning, content and tool calls apart. Stop strings end the content, never the reasoning. */
export class HarmonyText implements ChoiceText {
  numReasoningTokens = 0;
  readonly #parser: HarmonyParser;
  readonly #stops: StopStrings;
  readonly #callIdPrefix: string;
  #numToolCalls = 0;
  #messageIndex = -1;
  #isPreamble = false;
  #destination: ReturnType<typeof destinationOf> | null = null;

  /** @param callIdPrefix makes the ids of tool calls unique: request and choice */
  constructor(tokenizer: Tokenizer, harmony: HarmonyTokenIds, stopStrings: readonly string[], callIdPrefix: string) {
    this.#parser = new HarmonyParser(tokenizer, harmony);
    this.#stops = new StopStrings(stopStrings);
    this.#callIdPrefix = callIdPrefix;
  }

  get hasToolCall(): boolean {
    return this.#numToolCalls > 0;
  }

  push(tokenId: number): TextStep {
    const events = this.#parser.push([tokenId]);
    // A token that opens or closes a message is no part of it.
    const isText = this.#destination !== null && events.every(({ type }) => type === "text");
    const kind = isText ? kindOf(this.#destination) : null;
    const step: TextStep = { deltas: [], stopString: null, kind };
    for (const event of events) this.#take(event, step);
    if (kind === REASONING) this.numReasoningTokens += 1;
    return step;
  }

  finish(): TextDelta[] {
    const step: TextStep = { deltas: [], stopString: null, kind: null };
    for (const event of this.#parser.finish()) this.#take(event, step);
    return step.deltas;
  }

  #take(event: HarmonyEvent, step: TextStep): void {
    if (step.stopString !== null) return;
    if (event.type === "message_start") this.#begin(event, step);
    else if (event.type === "message_end") this.#end(step);
    else this.#text(event, event.delta, step);
  }

  #begin(header: HarmonyHeader, step: TextStep): void {
    this.#destination = destinationOf(header);
    this.#messageIndex += 1;
    this.#isPreamble = header.channel === "commentary";
    if (!isToolCall(this.#destination)) return;
    this.#numToolCalls += 1;
    step.deltas.push(this.#toolDelta(header, ""));
  }

  /** A stop string does not reach over two messages: what was held back comes out before the next one begins. */
  #end(step: TextStep): void {
    if (this.#destination === "text") this.#show(CONTENT, this.#stops.flush(), step);
    this.#destination = null;
  }

  #text(header: HarmonyHeader, text: string, step: TextStep): void {
    const destination = destinationOf(header);
    if (isToolCall(destination)) step.deltas.push(this.#toolDelta(header, text));
    else if (destination === "reasoning") this.#show(REASONING, text, step);
    else this.#content(text, step);
  }

  #content(text: string, step: TextStep): void {
    const pushed = this.#stops.push(text);
    step.stopString = pushed.matched;
    this.#show(CONTENT, pushed.text, step);
  }

  #show(kind: Kind, text: string, step: TextStep): void {
    if (text === "") return;
    const delta: TextDelta = { kind, text, message_index: this.#messageIndex };
    if (kind === CONTENT && this.#isPreamble) delta.is_preamble = true;
    step.deltas.push(delta);
  }

  #toolDelta(header: HarmonyHeader, text: string): TextDelta {
    const index = this.#numToolCalls - 1;
    return {
      kind: TOOL_CALL,
      text,
      message_index: this.#messageIndex,
      tool_call_index: index,
      tool_call_id: `${this.#callIdPrefix}-${index}`,
      tool_name: functionNameOf(header) ?? header.recipient ?? "",
    };
  }
}

function kindOf(destination: ReturnType<typeof destinationOf> | null): Kind {
  if (destination === "reasoning") return REASONING;
  return destination === "text" ? CONTENT : TOOL_CALL;
}

function isToolCall(destination: ReturnType<typeof destinationOf>): boolean {
  return destination === "function_call" || destination === "builtin";
}
