import type * as grpc from "@grpc/grpc-js";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { fromGrpcStatus } from "../proto/grpc-status.js";
import type { v1 } from "../proto/messages.js";
import type { Rank } from "./rank.js";

/** How a rank that is well is done with a coordinator: drained or told to stop, or there is no coordinator any more. */
export type AttachmentEnd = { how: "left" } | { how: "lost"; error: MoesaicError };

export type RankStream = grpc.ClientDuplexStream<v1.FromRank.$Properties, v1.ToRank>;

/** How often a rank reports its progress; the coordinator's stallMs is far longer. */
const PROGRESS_INTERVAL_MS = 250;

/** One stream of a rank to a coordinator, from Hello to its end. */
export class Attachment {
  readonly #stream: RankStream;
  readonly #address: string;
  readonly #clock: Clock;
  #isBroken = false;
  #end: (end: AttachmentEnd) => void = () => {};
  #fall: (error: unknown) => void = () => {};
  #cancelProgressTimer: () => void = () => {};

  constructor(stream: RankStream, address: string, clock: Clock) {
    this.#stream = stream;
    this.#address = address;
    this.#clock = clock;
  }

  /** Resolves when the rank is done with this coordinator, and well. @throws MoesaicError when it was refused or failed */
  async run(rank: Rank, signal: AbortSignal): Promise<AttachmentEnd> {
    const ended = new Promise<AttachmentEnd>((resolve, reject) => {
      this.#end = resolve;
      this.#fall = (error) => reject(MoesaicError.from(error));
    });
    const stop = () => {
      this.send({ drained: { epoch: rank.progress().epoch ?? 0 } });
      this.left();
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    this.#stream.on("data", (message: v1.ToRank) => rank.receive(message));
    this.#stream.on("error", (error) => this.#broke(error));
    this.#stream.on("end", () => this.#end(this.#lost("it ended the stream")));
    this.send({ hello: rank.hello() });
    rank.attached(this);
    this.#reportProgress(rank);
    try {
      return await ended;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#cancelProgressTimer();
      rank.parted(this.#isBroken);
      this.#stream.end();
    }
  }

  send(message: v1.FromRank.$Properties): void {
    this.#stream.write(message);
  }

  /** The rank has left in order. */
  left(): void {
    this.#end({ how: "left" });
  }

  /** The coordinator told the rank to look for another. */
  letGo(reason: string): void {
    this.#end(this.#lost(reason));
  }

  /** The rank is over. */
  fall(error: MoesaicError): void {
    this.#fall(error);
  }

  /** A connection that breaks says so with one of few codes; with any other the coordinator means this rank. */
  #broke(caught: unknown): void {
    const { code, message } = fromGrpcStatus(caught);
    if (["unavailable", "cancelled", "internal"].includes(code)) {
      this.#isBroken = true;
      return this.#end(this.#lost(message, caught));
    }
    const text = `the coordinator at ${this.#address} ended this rank: ${message}`;
    this.#fall(new MoesaicError(code, text, { cause: caught }));
  }

  #lost(reason: string, cause?: unknown): AttachmentEnd {
    const text = `this rank lost the coordinator at ${this.#address}: ${reason}`;
    return { how: "lost", error: new MoesaicError("unavailable", text, { cause }) };
  }

  #reportProgress(rank: Rank): void {
    const rssBytes = process.memoryUsage.rss();
    this.send({
      progress: { ...rank.progress(), ...rank.work(), rss_bytes: rssBytes, sent_ms: this.#clock.nowMs() },
    });
    this.#cancelProgressTimer = this.#clock.setTimer(PROGRESS_INTERVAL_MS, () => this.#reportProgress(rank));
  }
}
