import { fork, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { CollectiveRun } from "../native/binding.js";
import type { Transport } from "../plans/machine-profile.js";
import { isErrorCode, MoesaicError } from "../proto/errors.js";
import type { CommAnswer, CommTask, PlainTimes } from "./comm-rank.js";

/** One kind of call among all ranks. */
export interface MeasuredCalls {
  run: CollectiveRun;
  /** Of each call, from when the last rank began to when the last was done: nobody's waiting for a late one counts. */
  timesUs: number[];
  /** That the busiest rank sends in one call. */
  sentBytes: number;
  /** That all ranks send in one call. */
  allSentBytes: number;
}

const RANK_FILE = fileURLToPath(new URL("./comm-rank.js", import.meta.url));
/** Longest wait for a rank in a collective: far longer than any takes. */
const DEADLINE_MS = 20_000;

/**
 * Runs the collectives among processes of this machine, which are gone when this returns or throws.
 * @throws MoesaicError internal when a result was wrong, cancelled when `signal` was aborted
 */
export async function measureCalls(
  transport: Transport,
  numRanks: number,
  runs: readonly CollectiveRun[],
  signal: AbortSignal,
): Promise<MeasuredCalls[]> {
  const ranks = Array.from({ length: numRanks }, (_, rank) => new CommRank(rank, signal));
  try {
    const addresses = await Promise.all(ranks.map(async (rank) => (await rank.heard("addresses")).addresses));
    const peers = addresses.map((list, rank) => ({ rank, hostId: "this host", addresses: list }));
    const options = { epoch: 1, peers, key: [...randomBytes(32)], deadlineMs: DEADLINE_MS, transport };
    const answers = ranks.map(async (rank) => (await rank.heard("times")).times);
    ranks.forEach((one, rank) => one.send({ rank, options, runs: [...runs] }));
    const times = await Promise.all(answers);
    return runs.map((run, index) =>
      together(
        run,
        times.map((ofRank) => ofRank[index]!),
      ),
    );
  } finally {
    await Promise.all(ranks.map((rank) => rank.end()));
  }
}

function together(run: CollectiveRun, ranks: readonly PlainTimes[]): MeasuredCalls {
  const timesUs = ranks[0]!.beganUs.map((_, call) => {
    const latest = (key: "beganUs" | "endedUs"): number => Math.max(...ranks.map((times) => times[key][call]!));
    return latest("endedUs") - latest("beganUs");
  });
  const sent = ranks.map(({ sentBytes }) => sentBytes);
  return { run, timesUs, sentBytes: Math.max(...sent), allSentBytes: sent.reduce((sum, bytes) => sum + bytes, 0) };
}

type AnswerWith<Key extends string> = Extract<CommAnswer, Record<Key, unknown>>;

class CommRank {
  readonly #rank: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #answers: CommAnswer[] = [];
  #failure: MoesaicError | null = null;
  #onNews = () => {};

  constructor(rank: number, signal: AbortSignal) {
    this.#rank = rank;
    this.#child = fork(RANK_FILE, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.#child.on("message", (answer: CommAnswer) => {
      this.#answers.push(answer);
      this.#onNews();
    });
    this.#ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.#fail(new MoesaicError("internal", `the process of rank ${rank} ${how}; run the command again`));
        resolve();
      };
      this.#child.once("exit", (code, name) => end(`ended with ${name ?? `code ${code}`} before it had answered`));
      this.#child.once("error", (error) => end(`cannot be started: ${error.message}`));
    });
    const interrupted = () => this.#fail(new MoesaicError("cancelled", "interrupted"));
    if (signal.aborted) interrupted();
    signal.addEventListener("abort", interrupted, { once: true });
  }

  send(task: CommTask): void {
    this.#child.send(task, () => {});
  }

  /** The next answer, which has to have `key`. */
  async heard<Key extends "addresses" | "times">(key: Key): Promise<AnswerWith<Key>> {
    while (this.#answers.length === 0) {
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#onNews = resolve;
      });
    }
    const answer = this.#answers.shift()!;
    if (key in answer) return answer as AnswerWith<Key>;
    const { code, message } = answer as AnswerWith<"message">;
    throw new MoesaicError(isErrorCode(code) ? code : "internal", `rank ${this.#rank}: ${message}`);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #fail(error: MoesaicError): void {
    this.#failure ??= error;
    this.#onNews();
  }
}
