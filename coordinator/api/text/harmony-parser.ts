import { IncrementalDetokenizer } from "./detokenizer.js";
import type { HarmonyTokenIds } from "./harmony.js";
import { type HarmonyHeader, type HeaderText, parseHeader } from "./harmony-header.js";
import type { Tokenizer } from "./tokenizer.js";

/**
 * How a message ended: end = more may follow, call = a tool is to run, return = the response is complete,
 * cut = its terminator is missing, because the generation stopped or another message began.
 */
export type HarmonyEndReason = "end" | "call" | "return" | "cut";

/**
 * What a completion says, in order. Each message is one message_start, any number of texts and one message_end,
 * all with the same header; messages do not overlap. A delta is never empty and always valid Unicode.
 */
export type HarmonyEvent =
  | ({ type: "message_start" } & HarmonyHeader)
  | ({ type: "text"; delta: string } & HarmonyHeader)
  | ({ type: "message_end"; reason: HarmonyEndReason } & HarmonyHeader);

/** Longest header in tokens; a recipient of 64 characters fits. What is longer is an answer without `<|message|>`. */
const HEADER_TOKENS_MAX = 128;

/**
 * Reads the token ids of one completion, which begins inside the assistant's header. Total: every run of ids gives
 * events, none throws, and however the run is split the texts join to the same. Control tokens never become text.
 *
 * What it does where the format is broken:
 * - a control token that opens something (`<|start|>`, `<|channel|>` in content) cuts the message before it;
 * - `<|start|>` in a header starts the header anew; a second `<|channel|>` replaces the first;
 * - text where a header is expected, with a terminator or the end instead of `<|message|>`, is an answer;
 *   a header alone is nothing, unless a terminator closes one with a recipient: a call without arguments;
 * - messages of other authors than the assistant give no events;
 * - `<|endoftext|>` ends a message like `<|return|>`; other control tokens are skipped.
 * Channels and recipients are read as `parseHeader` says.
 */
export class HarmonyParser {
  readonly #tokenizer: Tokenizer;
  readonly #harmony: HarmonyTokenIds;
  /** One for all parts and messages; each of them flushes it at its end. */
  readonly #detokenizer: IncrementalDetokenizer;
  #state: HeaderState | ContentState;
  #events: HarmonyEvent[] = [];

  constructor(tokenizer: Tokenizer, harmony: HarmonyTokenIds) {
    this.#tokenizer = tokenizer;
    this.#harmony = harmony;
    this.#detokenizer = new IncrementalDetokenizer(tokenizer, { skipSpecial: true });
    this.#state = newHeader(false);
  }

  /** Takes the next token ids and gives the events that they complete. */
  push(tokenIds: readonly number[]): HarmonyEvent[] {
    for (const tokenId of tokenIds) this.#take(tokenId);
    return this.#takeEvents();
  }

  /** The completion is over: closes an open message as cut. Afterwards the parser is as new. */
  finish(): HarmonyEvent[] {
    this.#close("cut");
    return this.#takeEvents();
  }

  #take(tokenId: number): void {
    const { start, channel, message } = this.#harmony;
    const terminator = this.#terminatorOf(tokenId);
    if (terminator !== undefined) this.#close(terminator);
    else if (tokenId === start) this.#restart();
    else if (tokenId === channel) this.#channel();
    else if (tokenId === message) this.#openMessage();
    else if (tokenId === this.#harmony.constrain) this.#constrain();
    else if (!this.#tokenizer.isSpecial(tokenId)) this.#ordinary(tokenId);
  }

  #terminatorOf(tokenId: number): HarmonyEndReason | undefined {
    if (tokenId === this.#harmony.end) return "end";
    if (tokenId === this.#harmony.call) return "call";
    return tokenId === this.#harmony.return || tokenId === this.#harmony.endOfText ? "return" : undefined;
  }

  #restart(): void {
    if (this.#state.kind === "content") this.#closeContent(this.#state, "cut");
    else this.#flushPart(this.#state);
    this.#state = newHeader(true);
  }

  #channel(): void {
    if (this.#state.kind === "content") {
      this.#closeContent(this.#state, "cut");
      this.#state = newHeader(false);
    }
    this.#flushPart(this.#state);
    this.#state.channel = "";
    this.#state.contentType = null;
  }

  #openMessage(): void {
    if (this.#state.kind === "content") return;
    this.#flushPart(this.#state);
    this.#open(this.#state, false);
  }

  #constrain(): void {
    if (this.#state.kind === "content") return;
    this.#flushPart(this.#state);
    this.#state.contentType ??= "";
  }

  #ordinary(tokenId: number): void {
    const text = this.#detokenizer.push([tokenId]);
    if (this.#state.kind === "content") return this.#text(this.#state, text);
    appendToPart(this.#state, text);
    this.#state.numTokens += 1;
    if (this.#state.numTokens > HEADER_TOKENS_MAX) this.#open(this.#state, true);
  }

  #close(reason: HarmonyEndReason): void {
    const state = this.#state;
    if (state.kind === "content") this.#closeContent(state, reason);
    else this.#closeHeader(state, reason);
    this.#state = newHeader(false);
  }

  #closeHeader(state: HeaderState, reason: HarmonyEndReason): void {
    this.#flushPart(state);
    const { header, leftover } = parseHeader(state, false);
    const isCall = header.recipient !== undefined && reason !== "cut";
    if (leftover === "" && !isCall) return;
    this.#closeContent(this.#open(state, true), reason);
  }

  /** @param keepLeftover whether text in the header is the beginning of the content: its `<|message|>` is missing */
  #open(state: HeaderState, keepLeftover: boolean): ContentState {
    const { header, isAssistant, leftover } = parseHeader(state, !keepLeftover);
    const content: ContentState = { kind: "content", header, isShown: isAssistant };
    if (isAssistant) this.#events.push({ type: "message_start", ...header });
    if (keepLeftover) this.#text(content, leftover);
    this.#state = content;
    return content;
  }

  #text(state: ContentState, delta: string): void {
    if (delta !== "" && state.isShown) this.#events.push({ type: "text", delta, ...state.header });
  }

  #closeContent(state: ContentState, reason: HarmonyEndReason): void {
    this.#text(state, this.#detokenizer.flush());
    if (state.isShown) this.#events.push({ type: "message_end", reason, ...state.header });
  }

  #takeEvents(): HarmonyEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #flushPart(state: HeaderState): void {
    appendToPart(state, this.#detokenizer.flush());
  }
}

interface HeaderState extends HeaderText {
  kind: "header";
  numTokens: number;
}

interface ContentState {
  kind: "content";
  header: HarmonyHeader;
  isShown: boolean;
}

function newHeader(isStarted: boolean): HeaderState {
  return { kind: "header", isStarted, role: "", channel: null, contentType: null, numTokens: 0 };
}

function appendToPart(state: HeaderState, text: string): void {
  if (state.contentType !== null) state.contentType += text;
  else if (state.channel !== null) state.channel += text;
  else state.role += text;
}
