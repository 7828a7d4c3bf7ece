import { setImmediate as nextTurn } from "node:timers/promises";

/** Room for the largest request of a job, escaped as JSON does it, and what stands around it. */
const MAX_LINE_BYTES = 6 * 1024 * 1024;
/** Bytes of lines after which others get a turn of the event loop. */
const TURN_BYTES = 64 * 1024;
const LINE_END = 0x0a;

export interface InputLine {
  /** From 1, blank lines counted. */
  number: number;
  /** null: it is too long, or not UTF-8. */
  text: string | null;
}

/** The lines of a file that are not blank, one at a time in memory. */
export async function* inputLines(content: AsyncIterable<Uint8Array>): AsyncIterable<InputLine> {
  let number = 0;
  let numSinceTurn = 0;
  for await (const bytes of splitLines(content)) {
    number += 1;
    const text = bytes === null ? null : decoded(bytes);
    if (text === "") continue;
    yield { number, text };
    numSinceTurn += bytes?.length ?? 0;
    if (numSinceTurn < TURN_BYTES) continue;
    numSinceTurn = 0;
    await nextTurn();
  }
}

/** Each line without its end; null for one that is too long. */
async function* splitLines(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array | null> {
  const line = new GrowingLine();
  for await (const bytes of content) {
    let begin = 0;
    for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, begin)) {
      line.add(bytes.subarray(begin, end));
      yield line.take();
      begin = end + 1;
    }
    line.add(bytes.subarray(begin));
  }
  yield line.take();
}

/** The beginning of a line whose end has not come; of one that is too long nothing is kept. */
class GrowingLine {
  #pieces: Uint8Array[] = [];
  #numBytes = 0;

  add(piece: Uint8Array): void {
    this.#numBytes += piece.length;
    if (this.#numBytes > MAX_LINE_BYTES) this.#pieces = [];
    else if (piece.length > 0) this.#pieces.push(piece);
  }

  take(): Uint8Array | null {
    const line = this.#numBytes > MAX_LINE_BYTES ? null : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#numBytes = 0;
    return line;
  }
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
  } catch {
    return null;
  }
}
