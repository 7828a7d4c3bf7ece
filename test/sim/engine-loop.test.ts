import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EngineLoop, type StepExecutor } from "../../coordinator/engine-loop.js";
import type { SequenceOutput } from "../../coordinator/scheduler/sequence-output.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import { systemClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { GREEDY_SAMPLING, type RowSampling, type StepPlan, type StepResult } from "../../proto/step.js";
import { FakeEngine, fakeToken } from "../../worker/fake-engine.js";

const VOCAB = 1000;
const LIMITS = { maxBatchedTokens: 16, maxSequences: 8, maxSeqLen: 200, blockSize: 8, numBlocks: 60 };
const GROUPS = [
  { kind: "full" as const, window: 0, layers: [1] },
  { kind: "sliding" as const, window: 16, layers: [0] },
];

/** A world of one fake rank that is lost at the steps it is told, each time with all it knew. */
class MortalWorld implements StepExecutor {
  numSteps = 0;
  #epoch = 1;
  #engine = this.#newEngine();
  readonly #lostAt: Set<number>;

  constructor(lostAt: number[]) {
    this.#lostAt = new Set(lostAt);
  }

  async step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    this.numSteps += 1;
    if (!this.#lostAt.has(this.numSteps)) return onResult(this.#engine.stepNow(plan));
    this.#epoch += 1;
    this.#engine = this.#newEngine();
    throw new MoesaicError("unavailable", "the rank was lost");
  }

  whenReady(): Promise<number> {
    return Promise.resolve(this.#epoch);
  }

  #newEngine(): FakeEngine {
    const maxLogitRows = LIMITS.maxSequences;
    return new FakeEngine({ epoch: this.#epoch, vocabSize: VOCAB, limits: LIMITS, kvGroups: GROUPS, maxLogitRows });
  }
}

function loopOn(executor: StepExecutor): EngineLoop {
  const config = { vocabSize: VOCAB, ...LIMITS, kvGroups: GROUPS, maxLogitRows: LIMITS.maxSequences, maxWaiting: 100 };
  return new EngineLoop(
    new Scheduler(config, silentLogger),
    executor,
    { stepFinished: () => {} },
    systemClock,
    silentLogger,
  );
}

function sampling(seed: number, maxSeqLen: number): RowSampling {
  return { ...GREEDY_SAMPLING, temperature: 1, seed, maxSeqLen };
}

/** Submits a sequence and collects its outputs up to the last. */
function run(loop: EngineLoop, seqId: number, promptTokenIds: number[], maxTokens: number): Promise<SequenceOutput[]> {
  const outputs: SequenceOutput[] = [];
  return new Promise((resolve) => {
    const spec = {
      seqId,
      requestId: `r${seqId}`,
      promptTokenIds,
      sampling: sampling(seqId, promptTokenIds.length + maxTokens),
      priority: 0,
      deadlineMs: null,
      wantsLogits: false,
    };
    loop.submit(spec, (output) => {
      outputs.push(output);
      if (output.finish !== undefined) resolve(outputs);
    });
  });
}

function expectedTokens(seqId: number, promptTokenIds: number[], maxTokens: number): number[] {
  const tokenIds = [...promptTokenIds];
  const row = sampling(seqId, promptTokenIds.length + maxTokens);
  while (tokenIds.length < promptTokenIds.length + maxTokens) tokenIds.push(fakeToken(row, tokenIds, VOCAB));
  return tokenIds.slice(promptTokenIds.length);
}

describe("EngineLoop", () => {
  it("streams the same tokens, none twice and none missing, however often the world is lost", async () => {
    const world = new MortalWorld([2, 3, 9, 20, 21, 40]);
    const loop = loopOn(world);
    const running = loop.run();
    const prompts = Array.from({ length: 12 }, (_, index) =>
      Array.from({ length: 3 + index * 2 }, (_, at) => (index * 31 + at) % VOCAB),
    );
    const all = await Promise.all(prompts.map((prompt, index) => run(loop, index + 1, prompt, 20)));
    for (const [index, outputs] of all.entries()) {
      const tokens = outputs.flatMap((output) => (output.tokenId === undefined ? [] : [output.tokenId]));
      assert.deepEqual(tokens, expectedTokens(index + 1, prompts[index]!, 20));
      assert.equal(outputs.at(-1)?.finish, "length");
    }
    assert.ok(world.numSteps > 40);
    loop.stop();
    await running;
  });

  it("finishes what runs when it drains, and refuses what is new", async () => {
    const loop = loopOn(new MortalWorld([]));
    const running = loop.run();
    const outputs = run(loop, 1, [1, 2, 3], 30);
    const drained = loop.drain(Infinity);
    await assert.rejects(run(loop, 2, [1], 1), { code: "unavailable", message: /draining/ });
    await drained;
    assert.equal((await outputs).at(-1)?.finish, "length");
    loop.stop();
    await running;
  });

  it("hands sequences over in mid-step, and another loop goes on with the next token or the next logits", async () => {
    for (const isLogits of [false, true]) {
      const loops = [loopOn(new MortalWorld([])), loopOn(new MortalWorld([]))] as const;
      const running = loops.map((loop) => loop.run());
      const outputs: SequenceOutput[] = [];
      const promptTokenIds = Array.from({ length: 40 }, (_, at) => at);
      const spec = {
        seqId: 1,
        requestId: "r",
        promptTokenIds,
        sampling: sampling(1, 60),
        priority: 0,
        deadlineMs: null,
      };
      await new Promise<void>((resolve) => {
        const listener = (output: SequenceOutput): void => {
          outputs.push(output);
          if (output.finish !== undefined) return resolve();
          // The step of the next token has begun by the time that this runs.
          if (outputs.length === 2) setImmediate(() => handOver(listener));
        };
        loops[0].submit({ ...spec, wantsLogits: isLogits }, listener);
      });
      if (isLogits) {
        const positions = outputs.flatMap(({ logits }) =>
          Array.from({ length: logits?.numTokens ?? 0 }, (_, at) => logits!.position + at),
        );
        assert.deepEqual(positions, promptTokenIds);
      } else {
        const tokens = outputs.flatMap(({ tokenId }) => tokenId ?? []);
        assert.deepEqual(tokens, expectedTokens(1, promptTokenIds, 20));
      }
      for (const loop of loops) loop.stop();
      await Promise.all(running);

      function handOver(listener: (output: SequenceOutput) => void): void {
        for (const { spec: left, outputTokenIds, numReturnedLogits } of loops[0].handOver()) {
          loops[1].submit({ ...left, outputTokenIds, numReturnedLogits }, listener);
        }
      }
    }
  });

  it("ends a sequence that a listener aborts while outputs are delivered", async () => {
    const loop = loopOn(new MortalWorld([]));
    const running = loop.run();
    const victim = run(loop, 2, [4, 5], 100);
    const spec = {
      seqId: 1,
      requestId: "a",
      promptTokenIds: [1],
      sampling: sampling(1, 2),
      priority: 0,
      deadlineMs: null,
      wantsLogits: false,
    };
    loop.submit(spec, () => loop.abort(2));
    assert.equal((await victim).at(-1)?.finish, "abort");
    loop.stop();
    await running;
  });

  it("tells every sequence why when there will be no world again", async () => {
    const error = new MoesaicError("failed_precondition", "the checkpoint is gone");
    const loop = loopOn({ step: () => Promise.reject(error), whenReady: () => Promise.reject(error) });
    const outputs = run(loop, 1, [1], 5);
    await loop.run();
    assert.equal((await outputs).at(-1)?.error, error);
    await assert.rejects(run(loop, 2, [1], 1), error);
  });
});
