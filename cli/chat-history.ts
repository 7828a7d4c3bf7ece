import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** Lines that are kept. */
const MAX_LINES = 1_000;

/** What was typed in earlier chats, for the arrow keys: a file that nobody else may read. What cannot be kept is not. */
export class ChatHistory {
  /** null: nothing is kept. */
  readonly #file: string | null;
  /** The newest first, as readline wants them. */
  readonly lines: string[];

  private constructor(file: string | null, lines: string[]) {
    this.#file = file;
    this.lines = lines;
  }

  /** @param env XDG_STATE_HOME says where; `~/.local/state` otherwise */
  static open(env: NodeJS.ProcessEnv, isKept: boolean): ChatHistory {
    if (!isKept) return new ChatHistory(null, []);
    const file = join(
      env["XDG_STATE_HOME"] || join(env["HOME"] || homedir(), ".local", "state"),
      "moesaic",
      "chat-history",
    );
    const lines = linesOf(file);
    if (lines.length > MAX_LINES) rewrite(file, lines.slice(-MAX_LINES));
    return new ChatHistory(file, lines.slice(-MAX_LINES).toReversed());
  }

  add(line: string): void {
    if (this.#file === null) return;
    try {
      mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      appendFileSync(this.#file, `${line}\n`, { mode: 0o600 });
    } catch {
      // A chat goes on without a history.
    }
  }
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

/** Whole or not at all: another chat may be reading it. */
function rewrite(file: string, lines: readonly string[]): void {
  try {
    writeFileSync(`${file}.new`, `${lines.join("\n")}\n`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch {
    // It stays as long as it is.
  }
}
