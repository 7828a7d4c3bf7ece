import type { Clock } from "../../../proto/clock.js";
import { LruMap } from "./lru-map.js";

const LIMITS = { maxEntries: 8_192, maxSize: 16 * 1024 * 1024, keepMs: 3_600_000 };

/**
 * What the model thought before a tool call, by the id of the call. OpenAI's chat completions have no place for reasoning
 * and most clients drop it, but in a loop of calls the model must see it again, or it goes astray. So a message that
 * comes back with its calls and without its reasoning gets it from here. In memory and bounded: what is forgotten is as if
 * it had never been kept.
 */
export class ReasoningMemory {
  readonly #byCall: LruMap<string>;

  constructor(clock: Clock) {
    this.#byCall = new LruMap(clock, LIMITS);
  }

  keep(tenant: string, callId: string, reasoning: string): void {
    if (reasoning !== "") this.#byCall.set(keyOf(tenant, callId), reasoning, reasoning.length);
  }

  /** @returns empty for a call that is not known here */
  recall(tenant: string, callId: string): string {
    return this.#byCall.get(keyOf(tenant, callId)) ?? "";
  }
}

function keyOf(tenant: string, callId: string): string {
  return `${tenant} ${callId}`;
}
