import {
  chooseReplicaLimits,
  misfitOf,
  provisionalLimits,
  type ChosenLimits,
  type LimitsRequest,
} from "../../plans/memory.js";
import type { ModelDescription } from "../../plans/model-description.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { rankBytesOf, type SizedRank } from "./replica-config.js";

/** What the memory of each replica's ranks allows, once they have said what they have. */
export class ReplicaLimits {
  /** Before anybody has. */
  readonly provisional: ChosenLimits;
  readonly #request: LimitsRequest;
  readonly #model: ModelDescription;
  readonly #log: Logger;
  readonly #chosen = new Map<number, ChosenLimits>();

  constructor(request: LimitsRequest, model: ModelDescription, log: Logger) {
    this.provisional = provisionalLimits(request, model);
    this.#request = request;
    this.#model = model;
    this.#log = log;
  }

  /** Of a replica that has chosen. */
  of(replicaId: number): ChosenLimits {
    return this.#chosen.get(replicaId)!;
  }

  /** @throws MoesaicError resource_exhausted when they are less than what other replicas serve */
  choose(replicaId: number, ranks: readonly SizedRank[]): ChosenLimits {
    const chosen = chooseReplicaLimits(this.provisional, this.#request, this.#model, ranks.map(rankBytesOf));
    this.#checkLength(replicaId, chosen);
    this.#chosen.set(replicaId, chosen);
    for (const { name, value, why } of chosen.choices) {
      this.#log.info({ replicaId, [name]: value, why }, "limit chosen");
    }
    return chosen;
  }

  /** Why ranks cannot have so many blocks; null: they can. */
  misfitOf(ranks: readonly SizedRank[], numBlocks: number): ReturnType<typeof misfitOf> {
    return misfitOf(this.#request, ranks.map(rankBytesOf), numBlocks);
  }

  /** Whatever the API accepts every replica must be able to run. */
  #checkLength(replicaId: number, { limits }: ChosenLimits): void {
    for (const [otherId, other] of this.#chosen) {
      if (limits.maxSeqLen >= other.limits.maxSeqLen) continue;
      const message =
        `replica ${replicaId} has KV blocks for sequences of ${limits.maxSeqLen} tokens, replica ${otherId} serves ` +
        `${other.limits.maxSeqLen}; set maxModelLen to what both can do`;
      throw new MoesaicError("resource_exhausted", message);
    }
  }
}
