import type { Clock } from "../../../proto/clock.js";
import { MoesaicError } from "../../../proto/errors.js";
import { sizeOf, type ConversationItem } from "./conversation-item.js";
import { LruMap, type LruLimits } from "./lru-map.js";
import type { ResponseRun } from "./response-run.js";

/** What is kept of a response, from its begin on. */
export interface KeptResponse {
  run: ResponseRun;
  /** Another tenant's responses do not exist. */
  tenant: string;
  /** The conversation before this response, its own input last. */
  items: readonly ConversationItem[];
  /** How many of them are its own input. */
  numInputItems: number;
  /** Ends it while it runs. */
  abort(): void;
}

export const STORE_LIMITS: LruLimits = { maxEntries: 4_096, maxSize: 128 * 1024 * 1024, keepMs: 24 * 3_600_000 };

/** An item takes memory though it be empty. */
const ITEM_OVERHEAD = 64;

/**
 * Responses that later ones may go on from: in this process's memory, the least recently used leave first. They are gone
 * with the coordinator; a client that needs more sends the conversation itself.
 */
export class ResponseStore {
  readonly #kept: LruMap<KeptResponse>;

  /** @param limits sizes are characters; each response is counted with its whole conversation, though items are shared */
  constructor(clock: Clock, limits: LruLimits = STORE_LIMITS) {
    this.#kept = new LruMap(clock, limits);
  }

  /** Keeps a response; again when it has ended, since it has grown. */
  keep(kept: KeptResponse): void {
    this.#kept.set(kept.run.id, kept, charactersOf(kept));
  }

  /** Whether a response that was kept still is: it may have been deleted while it ran. */
  has(id: string): boolean {
    return this.#kept.has(id);
  }

  /** @throws MoesaicError not_found */
  get(id: string, tenant: string): KeptResponse {
    const kept = this.#kept.get(id);
    if (kept !== undefined && kept.tenant === tenant) return kept;
    const message = `no response ${id.slice(0, 128)}: it was never stored, was deleted, or has made room for others`;
    throw new MoesaicError("not_found", message);
  }

  /** @throws MoesaicError not_found */
  delete(id: string, tenant: string): void {
    this.get(id, tenant).abort();
    this.#kept.delete(id);
  }
}

/** What it shows, with the tools and metadata of its request and logprobs, and the conversation that it holds on to. */
function charactersOf({ run, items }: KeptResponse): number {
  const shown = JSON.stringify(run.response()).length;
  return items.reduce((sum, item) => sum + sizeOf(item) + ITEM_OVERHEAD, shown);
}
