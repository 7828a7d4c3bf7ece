import { useRef, useState } from "preact/hooks";
import { deltaOf, EventLines } from "./chat-events.js";
import { figures } from "./format.js";

interface Turn {
  role: "user" | "assistant";
  content: string;
  reasoning: string;
  /** How it ended, where that is worth a word. */
  note: string;
}

const EFFORTS = ["low", "medium", "high"] as const;

/** A chat with the cluster, through the same API that everybody else uses. */
export function Playground({ modelName, isReady }: { modelName: string; isReady: boolean }) {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [draft, setDraft] = useState("");
  const [effort, setEffort] = useState<string>("low");
  const [temperature, setTemperature] = useState("0");
  const [isBusy, setIsBusy] = useState(false);
  const stop = useRef(new AbortController());

  const send = async (): Promise<void> => {
    const content = draft.trim();
    if (content === "" || isBusy) return;
    const asked: Turn[] = [...turns, { role: "user", content, reasoning: "", note: "" }];
    const answer: Turn = { role: "assistant", content: "", reasoning: "", note: "" };
    setDraft("");
    setIsBusy(true);
    stop.current = new AbortController();
    const startedMs = performance.now();
    let numPieces = 0;
    const show = (): void => setTurns([...asked, { ...answer }]);
    show();
    try {
      const messages = asked.map((turn) => ({ role: turn.role, content: turn.content }));
      const body = {
        model: modelName,
        messages,
        stream: true,
        reasoning_effort: effort,
        temperature: Number(temperature),
      };
      for await (const delta of stream(body, stop.current.signal)) {
        answer.content += delta.content;
        answer.reasoning += delta.reasoning;
        numPieces += 1;
        if (delta.finishReason === "length") answer.note = "Ended at the longest that an answer may be.";
        show();
      }
      answer.note ||= `${numPieces} pieces in ${figures((performance.now() - startedMs) / 1_000)} s`;
    } catch (error) {
      answer.note = stop.current.signal.aborted ? "Stopped." : `It failed: ${(error as Error).message}`;
    }
    show();
    setIsBusy(false);
  };

  return (
    <div class="playground">
      <div class="turns" role="log" aria-label="Conversation" tabIndex={0}>
        {turns.length === 0 && <p class="empty">Say something to {modelName}.</p>}
        {turns.map(({ role, content, reasoning, note }, index) => (
          <article key={index} class={`turn turn-${role}`}>
            <h4>{role === "user" ? "You" : modelName}</h4>
            {reasoning !== "" && (
              <details>
                <summary>Reasoning</summary>
                <p>{reasoning}</p>
              </details>
            )}
            <p>{content}</p>
            {note !== "" && <p class="quiet">{note}</p>}
          </article>
        ))}
      </div>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <label class="draft">
          Message
          <textarea
            rows={3}
            value={draft}
            onInput={({ currentTarget }) => setDraft(currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
              event.preventDefault();
              // As the button does: what stands in the form is checked first.
              event.currentTarget.form?.requestSubmit();
            }}
          />
        </label>
        <div class="controls">
          <label>
            Effort{" "}
            <select value={effort} onChange={({ currentTarget }) => setEffort(currentTarget.value)}>
              {EFFORTS.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <label>
            Temperature{" "}
            <input
              type="number"
              min="0"
              max="2"
              step="0.1"
              value={temperature}
              onInput={({ currentTarget }) => setTemperature(currentTarget.value)}
            />
          </label>
          <button type="submit" disabled={isBusy || !isReady || draft.trim() === ""}>
            Send
          </button>
          <button type="button" disabled={!isBusy} onClick={() => stop.current.abort()}>
            Stop
          </button>
          <button type="button" disabled={isBusy || turns.length === 0} onClick={() => setTurns([])}>
            New chat
          </button>
          <small class="quiet">
            {isReady ? "Enter sends, Shift and Enter makes a new line." : "The cluster is not ready."}
          </small>
        </div>
      </form>
    </div>
  );
}

/** @throws Error with the server's words when it refuses */
async function* stream(body: object, signal: AbortSignal): AsyncGenerator<NonNullable<ReturnType<typeof deltaOf>>> {
  const response = await fetch("../v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok || response.body === null) {
    const { error } = (await response.json().catch(() => ({}))) as { error?: { message: string } };
    throw new Error(error?.message ?? `the server answered ${response.status}`);
  }
  const lines = new EventLines();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the answer ended before its end");
    for (const data of lines.push(value)) {
      const delta = deltaOf(data);
      if (delta === null) return;
      yield delta;
    }
  }
}
