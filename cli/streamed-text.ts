import type { GenerateEvent, TextDelta } from "../client/generate-event.js";

/** Passes events on and shows the text of the first choice as it comes, at the pace of whoever shows it. */
export async function* streamedText(
  events: AsyncIterable<GenerateEvent>,
  show: (delta: TextDelta) => Promise<void>,
): AsyncGenerator<GenerateEvent> {
  for await (const event of events) {
    if (event.type === "delta" && event.choice === 0) for (const delta of event.text) await show(delta);
    yield event;
  }
}
