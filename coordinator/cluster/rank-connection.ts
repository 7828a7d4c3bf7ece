import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { MoesaicError } from "../../proto/errors.js";
import { toStatusError } from "../../proto/grpc-status.js";
import type { v1 } from "../../proto/messages.js";

export type FromRank = v1.FromRank.$Properties;
export type ToRank = v1.ToRank.$Properties;

/** One attached rank, as the replica sees it: messages out, messages in, and its loss. Tests join both ends in memory. */
export interface RankConnection {
  readonly hello: v1.Hello.$Properties;
  send(message: ToRank): void;
  /** Ends the stream; with an error the rank is told why. */
  close(error?: MoesaicError): void;
  /** Set by whoever owns the connection. */
  onMessage: (message: FromRank) => void;
  /** Called once, when the stream has ended for whatever reason; a rank that leaves says so before. */
  onLost: (reason: string) => void;
}

/** A rank attached over gRPC. */
export class GrpcRankConnection implements RankConnection {
  onMessage: (message: FromRank) => void = () => {};
  onLost: RankConnection["onLost"] = () => {};
  readonly #stream: ServerDuplexStream<v1.FromRank, v1.ToRank.$Properties>;
  #isLost = false;

  constructor(
    readonly hello: v1.Hello.$Properties,
    stream: ServerDuplexStream<v1.FromRank, v1.ToRank.$Properties>,
  ) {
    this.#stream = stream;
    stream.on("data", (message: v1.FromRank) => this.onMessage(message));
    stream.on("end", () => this.#lose("the rank ended its stream"));
    stream.on("cancelled", () => this.#lose("the rank's process or connection is gone"));
    stream.on("error", (error: Error) => this.#lose(error.message));
  }

  send(message: ToRank): void {
    if (!this.#isLost) this.#stream.write(message);
  }

  close(error?: MoesaicError): void {
    this.#isLost = true;
    if (error === undefined) this.#stream.end();
    else this.#stream.emit("error", toStatusError(error));
  }

  #lose(reason: string): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#stream.end();
    this.onLost(reason);
  }
}
