const RESET = "\u001b[0m";
const STYLES = {
  bold: "\u001b[1m",
  italic: "\u001b[3m",
  code: "\u001b[36m",
  heading: "\u001b[1;4m",
  quote: "\u001b[2m",
} as const;

type Style = keyof typeof STYLES;

/** What a line begins with says what it is; what is not decided yet is held back. */
const BEGINS_BLOCK = /^ {0,3}(#{1,6} |[-*+] |\d{1,3}[.)] |> |```|~~~)/;
const MAY_BEGIN_BLOCK = /^ {0,3}(#{0,6}|[-*+]?|\d{0,3}[.)]?|>|`{0,2}|~{0,2})$/;
/** More than this is no name of a language. */
const MAX_FENCE_LINE = 64;

/**
 * Markdown as escape sequences for a terminal, while it comes. It goes through the text one character after another and holds back
 * only what may still become a mark, so however the text is cut into pieces, the same is shown. Of markdown it knows what
 * models write: headings, lists, quotes, fenced and inline code, bold, italic. What is not closed ends with its line.
 */
export class MarkdownStream {
  /** Characters that are not decided yet: at the begin of a line, or a run of marks. */
  #held = "";
  #isAtLineBegin = true;
  #isFenced = false;
  /** Inside a fence's first or last line, of which only the language is shown. */
  #isFenceLine = false;
  readonly #styles = new Set<Style>();
  #before = "\n";

  /** @returns what is to be shown now */
  write(text: string): string {
    let shown = "";
    for (const character of text) shown += this.#take(character);
    return shown;
  }

  /** @returns what was held back, and the end of every style */
  end(): string {
    const rest = this.#isAtLineBegin ? this.#beginLine("") : this.#marks(" ");
    this.#isAtLineBegin = true;
    return rest + this.#plain();
  }

  #take(character: string): string {
    if (this.#isAtLineBegin) return this.#takeAtBegin(character);
    if (character === "\n") return this.#endLine();
    if (this.#isFenceLine) return this.#takeFence(character);
    if (this.#isFenced) return character;
    if (this.#isMark(character)) {
      this.#held += character;
      return "";
    }
    const shown = this.#marks(character) + character;
    this.#before = character;
    return shown;
  }

  #takeAtBegin(character: string): string {
    const line = this.#held + character;
    if (character !== "\n" && (this.#isFenced ? /^ {0,3}(`{0,2}|~{0,2})$/ : MAY_BEGIN_BLOCK).test(line)) {
      this.#held = line;
      return "";
    }
    return this.#beginLine(character);
  }

  /** The line's begin is known. @param character the first that is behind it, or empty at the end of all */
  #beginLine(character: string): string {
    const line = this.#held + character;
    this.#held = "";
    this.#isAtLineBegin = false;
    this.#before = " ";
    const mark = BEGINS_BLOCK.exec(line)?.[1];
    if (mark === "```" || mark === "~~~") return this.#fence();
    if (this.#isFenced || mark === undefined) return this.#again(line);
    const rest = line.slice(line.indexOf(mark) + mark.length);
    if (mark.startsWith("#")) return this.#begin("heading") + this.#again(rest);
    if (mark === "> ") return `${this.#begin("quote")}│ ${this.#again(rest)}`;
    const indent = line.slice(0, line.indexOf(mark));
    return `${indent}${/^\d/.test(mark) ? mark : "• "}${this.#again(rest)}`;
  }

  #again(text: string): string {
    let shown = "";
    for (const character of text) shown += this.#take(character);
    return shown;
  }

  #fence(): string {
    this.#isFenced = !this.#isFenced;
    this.#isFenceLine = true;
    return this.#isFenced ? this.#begin("code") : this.#plain();
  }

  #takeFence(character: string): string {
    if (this.#held.length < MAX_FENCE_LINE) this.#held += character;
    return "";
  }

  #endLine(): string {
    this.#isAtLineBegin = true;
    if (this.#isFenceLine) {
      this.#isFenceLine = false;
      this.#held = "";
      // The line of the fence itself is not shown: the colour says it.
      return "";
    }
    if (this.#isFenced) return "\n";
    return `${this.#marks(" ")}${this.#plain()}\n`;
  }

  #isMark(character: string): boolean {
    if (this.#held !== "" && !this.#held.startsWith(character)) return false;
    if (character === "`") return this.#held.length < 2;
    return character === "*" && !this.#styles.has("code") && this.#held.length < 3;
  }

  /** The run of marks that was held back opens or closes a style, or is text. @param next the character behind it */
  #marks(next: string): string {
    const marks = this.#held;
    this.#held = "";
    if (marks === "") return "";
    if (marks.startsWith("`")) return this.#toggle("code", marks);
    const style = marks.length === 1 ? "italic" : "bold";
    const mayOpen = !/\s/.test(next) && !this.#styles.has(style);
    const mayClose = this.#styles.has(style) && !/\s/.test(this.#before);
    return mayOpen || mayClose ? this.#toggle(style, marks) : marks;
  }

  #toggle(style: Style, marks: string): string {
    // Two ticks hold one that is text.
    if (style === "code" && marks.length === 2) return marks;
    if (!this.#styles.has(style)) return this.#begin(style);
    this.#styles.delete(style);
    return RESET + [...this.#styles].map((each) => STYLES[each]).join("");
  }

  #begin(style: Style): string {
    this.#styles.add(style);
    return STYLES[style];
  }

  #plain(): string {
    if (this.#styles.size === 0) return "";
    this.#styles.clear();
    return RESET;
  }
}
