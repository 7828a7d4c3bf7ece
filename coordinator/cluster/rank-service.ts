import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { toStatusError } from "../../proto/grpc-status.js";
import type { Logger } from "../../proto/log.js";
import type { v1 } from "../../proto/messages.js";
import { GrpcRankConnection, type RankConnection } from "./rank-connection.js";

/** Longest wait for the first message of a rank's stream, milliseconds. */
const HELLO_DEADLINE_MS = 5_000;

type RankStream = ServerDuplexStream<v1.FromRank, v1.ToRank.$Properties>;

/** Accepts ranks' streams: waits for Hello and hands the connection on; whoever refuses it throws. */
export class RankService {
  readonly #attach: (connection: RankConnection) => void;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(attach: (connection: RankConnection) => void, clock: Clock, log: Logger) {
    this.#attach = attach;
    this.#clock = clock;
    this.#log = log;
  }

  readonly handle = (stream: RankStream): void => {
    stream.on("error", () => {}); // Loss is seen by "cancelled" and "end"; an unheard error would end the process.
    const cancelTimer = this.#clock.setTimer(HELLO_DEADLINE_MS, () =>
      this.#refuse(stream, new MoesaicError("deadline_exceeded", `no Hello within ${HELLO_DEADLINE_MS} ms`)),
    );
    stream.once("data", (message: v1.FromRank) => {
      cancelTimer();
      this.#greet(stream, message);
    });
    stream.once("cancelled", cancelTimer);
    stream.once("end", cancelTimer);
  };

  #greet(stream: RankStream, message: v1.FromRank): void {
    try {
      if (!message.hello) throw new MoesaicError("invalid_argument", "the first message of a rank must be Hello");
      this.#attach(new GrpcRankConnection(message.hello, stream));
    } catch (caught) {
      this.#refuse(stream, MoesaicError.from(caught));
    }
  }

  #refuse(stream: RankStream, error: MoesaicError): void {
    this.#log.warn({ peer: stream.getPeer(), code: error.code, text: error.describe() }, "rank refused");
    stream.emit("error", toStatusError(error));
  }
}
