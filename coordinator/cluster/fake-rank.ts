import type { MoesaicError } from "../../proto/errors.js";
import { PROTOCOL_VERSION, type v1 } from "../../proto/messages.js";
import type { FromRank, RankConnection, ToRank } from "./rank-connection.js";

/** A rank at the other end of an in-memory connection; it answers when the test says so. */
export class FakeRank implements RankConnection {
  readonly received: ToRank[] = [];
  onMessage: (message: FromRank) => void = () => {};
  onLost: RankConnection["onLost"] = () => {};
  /** null while it is open. */
  closedWith: MoesaicError | undefined | null = null;
  readonly hello: v1.Hello.$Properties;
  /** What it would hold without its stream; empty unless its epoch is ready. */
  #held: v1.Held.$Properties = {};

  constructor(hello: v1.Hello.$Properties = {}) {
    this.hello = { protocol_version: PROTOCOL_VERSION, host_id: "h", pid: 1, ...hello };
    this.#held = hello.held ?? {};
  }

  send(message: ToRank): void {
    this.received.push(message);
    const { assignment, step_plan: plan } = message;
    if (assignment) {
      const { epoch, replica_id, rank, digest } = assignment;
      this.#held = { epoch: epoch!, replica_id: replica_id!, rank: rank!, digest: digest! };
    } else if (message.end_epoch) this.#held = {};
    else if (plan) this.#held.last_step_id = plan.step_id!;
  }

  close(error?: MoesaicError): void {
    this.closedWith = error;
  }

  /** The same process dials again after its stream broke. @param held over what the rank does hold */
  again(held: v1.Held.$Properties = {}): FakeRank {
    const hello = { ...this.hello };
    delete hello.held;
    return new FakeRank(this.#held.ready ? { ...hello, held: { ...this.#held, ...held } } : hello);
  }

  /** Says why it fails, and is gone. */
  die(reason = "gone"): void {
    this.onMessage({ failure: { epoch: this.#held.epoch ?? 0, code: "internal", text: reason } });
    this.onLost(reason);
  }

  /** Goes through sizing and loading of the epoch. */
  becomeReady(epoch: number): void {
    this.size(epoch);
    this.finishLoad(epoch);
  }

  size(epoch: number, fields: v1.Sized.$Properties = {}): void {
    const bytes = { weights_bytes: 10, workspace_bytes: 5, kv_block_bytes: 2, memory_bytes: 100 };
    this.#held.sized = { epoch, ...bytes, ...fields };
    this.onMessage({ sized: this.#held.sized });
  }

  finishLoad(epoch: number): void {
    this.#held.ready = { epoch, num_blocks: 8 };
    this.onMessage({ ready: this.#held.ready });
  }

  get last(): ToRank {
    return this.received.at(-1)!;
  }
}
