import type { v1 } from "../../proto/messages.js";

/** A prompt is a number; the answer is that number as a token, when the test lets it come. */
export class EchoEngine {
  readonly asked: v1.GenerateRequest[] = [];
  /** On whose account each was asked. */
  readonly tenants: string[] = [];
  readonly aborted: string[] = [];
  numRunning = 0;
  mostRunning = 0;
  /** Called before each answer; throws, or waits. */
  before: (request: v1.GenerateRequest) => void | Promise<void> = () => {};

  async *generate(
    request: v1.GenerateRequest,
    { signal, tenant }: { signal: AbortSignal; tenant: string },
  ): AsyncGenerator<v1.GenerateEvent.$Properties> {
    this.asked.push(request);
    this.tenants.push(tenant);
    const n = request.sampling?.n ?? 1;
    this.numRunning += n;
    this.mostRunning = Math.max(this.mostRunning, this.numRunning);
    try {
      const aborted = new Promise<"aborted">((resolve) => signal.addEventListener("abort", () => resolve("aborted")));
      if ((await Promise.race([this.before(request), aborted])) === "aborted") {
        this.aborted.push(request.prompt ?? "");
        return;
      }
      yield* eventsOf(request);
    } finally {
      this.numRunning -= n;
    }
  }

  get askedPrompts(): (string | null | undefined)[] {
    return this.asked.map(({ prompt }) => prompt);
  }
}

function eventsOf({ request_id, prompt, sampling }: v1.GenerateRequest): v1.GenerateEvent.$Properties[] {
  return Array.from({ length: sampling?.n ?? 1 }, (_, choice) => {
    const head = { request_id, choice };
    const usage = { prompt_tokens: 1, completion_tokens: 2 };
    return [
      { ...head, started: { model: "m", prompt_token_ids: [1] } },
      { ...head, delta: { token_ids: [Number.parseInt(prompt ?? "")] } },
      { ...head, delta: { token_ids: [0] } },
      { ...head, finish: { reason: "length", usage } },
    ];
  }).flat();
}
