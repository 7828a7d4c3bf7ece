/** What a piece of a streamed chat completion adds. */
export interface ChatDelta {
  content: string;
  reasoning: string;
  finishReason: string | null;
}

/** The data of the server-sent events in pieces of text, whatever the pieces' borders. */
export class EventLines {
  #rest = "";

  push(text: string): string[] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    return lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice("data: ".length));
  }
}

/** @returns null at the end of the stream   @throws Error with the server's words when it tells of an error */
export function deltaOf(data: string): ChatDelta | null {
  if (data === "[DONE]") return null;
  const chunk = JSON.parse(data) as {
    error?: { message: string };
    choices?: { delta?: { content?: string | null; reasoning?: string | null }; finish_reason?: string | null }[];
  };
  if (chunk.error !== undefined) throw new Error(chunk.error.message);
  const choice = chunk.choices?.[0];
  return {
    content: choice?.delta?.content ?? "",
    reasoning: choice?.delta?.reasoning ?? "",
    finishReason: choice?.finish_reason ?? null,
  };
}
