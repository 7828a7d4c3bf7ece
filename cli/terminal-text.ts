import type { CommandContext } from "./context.js";

/**
 * Text of a model as it may go to a terminal: without the control characters that move the cursor, change the title or
 * make the terminal answer. Line ends and tabs stay. One that is left out shows as U+FFFD, so that nobody reads what is not there.
 */
export function terminalText(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  return text.replaceAll("\r\n", "\n").replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}

/** Whether results may have styles: a person looks at them, and has not said otherwise (https://no-color.org). */
export function hasColour({ out, json, env }: Pick<CommandContext, "out" | "json" | "env">): boolean {
  return out.isTerminal && !json && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}
