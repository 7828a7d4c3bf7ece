import type { MoesaicError } from "../../proto/errors.js";
import { PROTOCOL_VERSION, type v1 } from "../../proto/messages.js";
import type { FromRank, RankConnection, ToRank } from "./rank-connection.js";

/** A rank at the other end of an in-memory connection; it answers when the test says so. */
export class FakeRank implements RankConnection {
  readonly received: ToRank[] = [];
  onMessage: (message: FromRank) => void = () => {};
  onLost: (reason: string) => void = () => {};
  /** null while it is open. */
  closedWith: MoesaicError | undefined | null = null;
  readonly hello: v1.Hello.$Properties;

  constructor(hello: v1.Hello.$Properties = {}) {
    this.hello = { protocol_version: PROTOCOL_VERSION, host_id: "h", pid: 1, ...hello };
  }

  send(message: ToRank): void {
    this.received.push(message);
  }

  close(error?: MoesaicError): void {
    this.closedWith = error;
  }

  /** Goes through sizing and loading of the epoch. */
  becomeReady(epoch: number): void {
    this.size(epoch);
    this.finishLoad(epoch);
  }

  size(epoch: number, fields: v1.Sized.$Properties = {}): void {
    this.onMessage({
      sized: { epoch, weights_bytes: 10, workspace_bytes: 5, kv_block_bytes: 2, memory_bytes: 100, ...fields },
    });
  }

  finishLoad(epoch: number): void {
    this.onMessage({ ready: { epoch, num_blocks: 8 } });
  }

  get last(): ToRank {
    return this.received.at(-1)!;
  }
}
