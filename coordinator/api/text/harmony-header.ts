/** Which audience a message is for: analysis is thought, commentary calls tools or speaks on the way, final answers. */
export type HarmonyChannel = "analysis" | "commentary" | "final";

/** What stands between `<|start|>` and `<|message|>`, as far as a client can care. */
export interface HarmonyHeader {
  channel: HarmonyChannel;
  /** To whom the message goes when not to the user: `functions.NAME` is a function call, others are built-in tools. */
  recipient?: string;
}

/** The text of a header, cut at its control tokens. */
export interface HeaderText {
  /** Whether `<|start|>` stood before it; if not, the author is the assistant and no role word is needed. */
  isStarted: boolean;
  /** Before `<|channel|>`: role word, recipient. */
  role: string;
  /** After `<|channel|>`: channel word, recipient, content type; null when there was none. */
  channel: string | null;
  /** After `<|constrain|>`: content type; null when there was none. */
  contentType: string | null;
}

export interface ParsedHeader {
  header: HarmonyHeader;
  /** Messages of other authors are the model's inventions and not for anybody's eyes. */
  isAssistant: boolean;
  /** Text that is no header: an answer whose `<|message|>` is missing. */
  leftover: string;
}

/**
 * Reads a header, forgiving what models get wrong: the recipient may stand in any part, with or without `to=`, or with
 * two; content types are skipped, and so is other text before a `<|message|>`. A message without a channel, or of a
 * channel nobody knows, counts as final, and as commentary when it has a recipient: better an oddly labelled answer
 * than a lost one.
 * @param isClosed whether `<|message|>` ended it; if not, its text may go over into the content
 */
export function parseHeader(text: HeaderText, isClosed: boolean): ParsedHeader {
  const role = rolePart(text, isClosed);
  const channel = channelPart(text.channel ?? "", isClosed);
  const contentType = contentTypePart(text.contentType ?? "", isClosed);
  const recipient = contentType.recipient ?? channel.recipient ?? role.recipient;
  const header: HarmonyHeader = { channel: knownChannel(channel.word, recipient !== undefined) };
  if (recipient !== undefined) header.recipient = recipient;
  return {
    header,
    // Only a tool's result goes to the assistant, whatever word stands for its author.
    isAssistant: role.isAssistant && recipient !== "assistant",
    leftover: contentType.leftover || (text.channel === null ? role.leftover : channel.leftover),
  };
}

/** The function a recipient names, dots in its name included; undefined for built-in tools and no recipient. */
export function functionNameOf(header: HarmonyHeader): string | undefined {
  if (header.recipient === undefined || !header.recipient.startsWith(FUNCTIONS)) return undefined;
  return header.recipient.slice(FUNCTIONS.length) || undefined;
}

/**
 * Where the text of a message goes. Function calls are known by their recipient whatever the channel says;
 * `builtin` are calls to tools that are built into some servers (browser, python), never shown as text.
 */
export function destinationOf(header: HarmonyHeader): "reasoning" | "text" | "function_call" | "builtin" {
  if (functionNameOf(header) !== undefined) return "function_call";
  if (header.recipient !== undefined) return "builtin";
  return header.channel === "analysis" ? "reasoning" : "text";
}

const FUNCTIONS = "functions.";
const OTHER_AUTHORS = /^(?:system|developer|user|tool|functions\..*|browser(?:\..*)?|python|container(?:\..*)?)$/;
const CONTENT_TYPES: ReadonlySet<string> = new Set(["json", "code", "text"]);

/** A known channel's name at the beginning, whatever is glued to it: `analysisWe`, `--commentary`. */
const KNOWN_CHANNEL = /^[^\p{L}]*(analysis|commentary|final)/u;

interface PartText {
  recipient?: string;
  leftover: string;
}

function rolePart(text: HeaderText, isClosed: boolean): PartText & { isAssistant: boolean } {
  const words = wordsOf(text.role);
  const first = words[0]?.word ?? "";
  const hasRole = text.isStarted ? !first.startsWith("to=") : first === "assistant";
  const rest = readRecipient(text.role, hasRole ? words.slice(1) : words, isClosed);
  return { isAssistant: !(text.isStarted && OTHER_AUTHORS.test(first)), ...rest };
}

function channelPart(text: string, isClosed: boolean): PartText & { word: string } {
  const known = KNOWN_CHANNEL.exec(text);
  if (known !== null) {
    const rest = text.slice(known[0].length);
    return { word: known[1]!, ...readRecipient(rest, wordsOf(rest), isClosed) };
  }
  const words = wordsOf(text);
  const first = words[0]?.word ?? "";
  // `<|channel|>to=functions.f`: the channel's name is missing, not the recipient.
  const hasChannel = first !== "" && recipientOf(first) === undefined;
  return {
    word: hasChannel ? first : "",
    ...readRecipient(text, hasChannel ? words.slice(1) : words, isClosed),
  };
}

/** The type is a run of letters, so `json{"x":1}` is a type and the content whose `<|message|>` is missing. */
function contentTypePart(text: string, isClosed: boolean): PartText {
  const rest = text.replace(/^\s*\w*/, "");
  return readRecipient(rest, wordsOf(rest), isClosed);
}

/**
 * Takes recipient and content types off the front; the leftover begins at the first word that is neither. In a header
 * that is closed a recipient may follow such words, and there is no leftover.
 */
function readRecipient(text: string, words: Word[], isClosed: boolean): PartText {
  let recipient: string | undefined;
  for (const { word, start } of words) {
    const named = recipientOf(word);
    const isStrange = named === undefined && !CONTENT_TYPES.has(word);
    if (isStrange && !isClosed) return withRecipient(recipient, text.slice(start));
    recipient = named || recipient;
  }
  return withRecipient(recipient, "");
}

function withRecipient(recipient: string | undefined, leftover: string): PartText {
  const isForUser = recipient === undefined || recipient === "all" || recipient === "user";
  return isForUser ? { leftover } : { recipient, leftover };
}

/** Empty for a recipient that is only half written, such as `to` where the generation was cut. */
function recipientOf(word: string): string | undefined {
  if (word.startsWith("to=")) return word.replace(/^(?:to=)+/, "");
  if (word.startsWith(FUNCTIONS)) return word;
  return word === "to" ? "" : undefined;
}

function knownChannel(word: string, hasRecipient: boolean): HarmonyChannel {
  if (word === "analysis" || word === "commentary" || word === "final") return word;
  return hasRecipient ? "commentary" : "final";
}

interface Word {
  word: string;
  /** Index in the text. */
  start: number;
}

function wordsOf(text: string): Word[] {
  return [...text.matchAll(/\S+/g)].map((match) => ({ word: match[0], start: match.index }));
}
