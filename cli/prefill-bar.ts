import { Presets, SingleBar } from "cli-progress";
import type { GenerateEvent } from "../client/generate-event.js";

/**
 * Passes events on, and shows on a terminal how far the prompt of the first choice is. The bar is there only while the prompt is
 * computed, and leaves no trace on the screen.
 */
export async function* withPrefillBar(
  events: AsyncIterable<GenerateEvent>,
  stderr: NodeJS.WriteStream,
): AsyncGenerator<GenerateEvent> {
  const format = "prompt [{bar}] {value} of {total} tokens";
  const options = { format, clearOnComplete: true, hideCursor: true, stream: stderr };
  const bar = stderr.isTTY ? new SingleBar(options, Presets.rect) : null;
  try {
    for await (const event of events) {
      if (event.choice === 0 && event.type === "prefill") show(bar, event.numDone, event.numPromptTokens);
      else if (event.choice === 0 && event.type !== "started") bar?.stop();
      yield event;
    }
  } finally {
    bar?.stop();
  }
}

function show(bar: SingleBar | null, numDone: number, numPromptTokens: number): void {
  if (bar?.isActive === true) bar.update(numDone);
  else bar?.start(numPromptTokens, numDone);
}
