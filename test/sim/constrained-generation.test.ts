import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { ModelDescription } from "../../plans/model-description.js";
import { systemClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { silentLogger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import type { StepPlan, StepResult } from "../../proto/step.js";
import { FakeEngine } from "../../worker/fake-engine.js";
import { EngineLoop, type StepExecutor } from "../../coordinator/engine-loop.js";
import { Scheduler } from "../../coordinator/scheduler/scheduler.js";
import { InferenceService } from "../../coordinator/api/inference-service.js";
import { openServedModel, type ServedModel } from "../../coordinator/api/model.js";
import type { RequestContext } from "../../coordinator/api/request-context.js";
import { DEMO_DIR } from "../../coordinator/api/text/demo-model.js";

const VOCAB = 2048;
const LIMITS = { maxBatchedTokens: 64, maxSequences: 8, maxSeqLen: 2048, blockSize: 16, numBlocks: 400 };
const GROUPS = [{ kind: "full" as const, window: 0, layers: [0] }];

/** A fake rank, lost at the steps it is told with all it knew. */
class MortalRank implements StepExecutor {
  numSteps = 0;
  readonly #lostAt: ReadonlySet<number>;
  #epoch = 1;
  #engine = this.#begin();

  constructor(lostAt: readonly number[]) {
    this.#lostAt = new Set(lostAt);
  }

  async step(plan: StepPlan, onResult: (result: StepResult) => void): Promise<void> {
    this.numSteps += 1;
    if (!this.#lostAt.has(this.numSteps)) return onResult(this.#engine.stepNow(plan));
    this.#epoch += 1;
    this.#engine = this.#begin();
    throw new MoesaicError("unavailable", "the rank was lost");
  }

  whenReady(): Promise<number> {
    return Promise.resolve(this.#epoch);
  }

  #begin(): FakeEngine {
    const maxLogitRows = LIMITS.maxSequences;
    return new FakeEngine({ epoch: this.#epoch, vocabSize: VOCAB, limits: LIMITS, kvGroups: GROUPS, maxLogitRows });
  }
}

describe("constrained generation", () => {
  let model: ServedModel;
  before(async () => {
    const description = { vocabSize: VOCAB, eosTokenIds: [] } as unknown as ModelDescription;
    model = await openServedModel("demo", description, DEMO_DIR, LIMITS.maxSeqLen);
  });

  /** Answers of a model without any sense: the constraint does all the work. Requests run side by side. */
  const answers = async (
    requests: v1.GenerateRequest.$Properties[],
    { lostAt = [], numBlocks = LIMITS.numBlocks }: { lostAt?: number[]; numBlocks?: number } = {},
  ): Promise<Answer[]> => {
    const config = { vocabSize: VOCAB, ...LIMITS, numBlocks, kvGroups: GROUPS, maxLogitRows: 8, maxWaiting: 100 };
    const rank = new MortalRank(lostAt);
    const scheduler = new Scheduler(config, silentLogger);
    const loop = new EngineLoop(scheduler, rank, { stepFinished: () => {} }, systemClock, silentLogger);
    const ids = { requestId: () => "r", seed: () => 7 };
    const observer = { firstToken: () => {}, finished: () => {} };
    const service = new InferenceService(model, loop, observer, ids, systemClock);
    const running = loop.run();
    const all = await Promise.all(requests.map((request) => answerOf(service, request)));
    loop.stop();
    await running;
    return all.map((answer) => ({ ...answer, numPreemptions: scheduler.stats().numPreemptions }));
  };

  const person = {
    type: "object",
    properties: {
      id: { type: "integer", minimum: 1, maximum: 99 },
      name: { type: "string", maxLength: 12 },
      isOld: { type: "boolean" },
    },
    required: ["id", "name", "isOld"],
  };
  const json = (seed: number): v1.GenerateRequest.$Properties => ({
    prompt: "x",
    constraint: { json_schema: JSON.stringify(person) },
    sampling: { seed },
  });
  const isPerson = (text: string): void => {
    const { id, name, isOld } = JSON.parse(text) as { id: number; name: string; isOld: boolean };
    assert.ok(
      Number.isInteger(id) && id >= 1 && id <= 99 && Array.from(name).length <= 12 && typeof isOld === "boolean",
      text,
    );
  };

  it("gives JSON of a schema, texts that a pattern matches, and one of some choices", async () => {
    const seeds = [1, 2, 3, 4, 5, 6];
    for (const { text, finish } of await answers(seeds.map(json))) {
      isPerson(text);
      assert.equal(finish.reason, "stop");
    }
    const regex = "[A-Z][a-z]{2,5}( \\d{1,3}){2}";
    for (const { text } of await answers(
      seeds.map((seed) => ({ prompt: "x", constraint: { regex }, sampling: { seed } })),
    )) {
      assert.match(text, new RegExp(`^${regex}$`));
    }
    const values = ["yes", "no", "maybe, or maybe not"];
    for (const { text } of await answers(
      seeds.map((seed) => ({ prompt: "x", constraint: { choice: { values } }, sampling: { seed } })),
    )) {
      assert.ok(values.includes(text), text);
    }
  });

  it("gives the same after preemptions and lost ranks", async () => {
    const requests = [1, 2, 3, 4, 5].map(json);
    const undisturbed = (await answers(requests)).map(({ text }) => text);
    const lost = await answers(requests, { lostAt: [2, 3, 7, 12, 13, 20] });
    assert.deepEqual(
      lost.map(({ text }) => text),
      undisturbed,
    );
    const preempted = await answers(requests, { numBlocks: 8 });
    assert.ok(preempted[0]!.numPreemptions > 0, "the pool was large enough for all");
    assert.deepEqual(
      preempted.map(({ text }) => text),
      undisturbed,
    );
  });

  it("leaves those alone that run beside", async () => {
    const free = [1, 2, 3].map((seed) => ({ prompt: "y", sampling: { seed, max_tokens: 40, ignore_eos: true } }));
    const alone = (await answers(free)).map(({ tokenIds }) => tokenIds);
    const beside = await answers([json(1), free[0]!, json(2), free[1]!, free[2]!, json(3)]);
    assert.deepEqual(
      [1, 3, 4].map((index) => beside[index]!.tokenIds),
      alone,
    );
    for (const index of [0, 2, 5]) isPerson(beside[index]!.text);
  });

  it("has the choices of one request follow their own outputs", async () => {
    const [answer] = await answers([{ ...json(3), sampling: { seed: 3, n: 4 } }]);
    for (const text of answer!.texts) isPerson(text);
    assert.ok(new Set(answer!.texts).size > 1);
  });

  it("refuses constraints that it cannot keep, with the field", async () => {
    const chat = { messages: [{ role: "user", content: "x" }] };
    const tools = [{ name: "f", parameters_json: '{"type":"odd"}' }];
    const faults: [v1.GenerateRequest.$Properties, string, RegExp][] = [
      [{ constraint: { json_schema: "{" } }, "constraint.json_schema", /not JSON/],
      [{ constraint: { json_schema: '{"type":"odd"}' } }, "constraint.json_schema#/type", /expected one of/],
      [{ constraint: { json_schema: `"${"x".repeat(300_000)}"` } }, "constraint.json_schema", /at most 262144/],
      [{ constraint: { regex: "a{" } }, "constraint.regex", /character 2/],
      [{ constraint: { choice: { values: [] } } }, "constraint.choice", /1 to 1024 texts/],
      [{ constraint: { choice: { values: ["a", ""] } } }, "constraint.choice[1]", /1 to 4096 characters/],
      [{ constraint: {} }, "constraint", /expected one of json_schema, regex and choice/],
      [{ constraint: { regex: "a" }, sampling: { ignore_eos: true } }, "sampling.ignore_eos", /stop token/],
      [{ constraint: { regex: "a" }, sampling: { min_tokens: 2 } }, "sampling.min_tokens", /complete/],
      [{ chat: { ...chat, tool_choice: { mode: "sometimes" } } }, "tool_choice.mode", /expected one of auto/],
      [{ chat: { ...chat, tool_choice: { mode: "required" } } }, "tool_choice", /there are no tools/],
      [
        { chat: { ...chat, tools, tool_choice: { mode: "required", name: "g" } } },
        "tool_choice.name",
        /one of the tools/,
      ],
      [{ chat: { ...chat, tools, tool_choice: { mode: "none", name: "f" } } }, "tool_choice.name", /expected none/],
      [
        { chat: { ...chat, tools, tool_choice: { mode: "required" } } },
        "tools[0].parameters_json#/type",
        /expected one of/,
      ],
    ];
    for (const [request, place, message] of faults) {
      const refused = answers([request.chat ? request : { prompt: "x", ...request }]);
      await assert.rejects(
        refused,
        { code: "invalid_argument", place, message },
        JSON.stringify(request).slice(0, 200),
      );
    }
  });
});

interface Answer {
  texts: string[];
  /** Of the first choice. */
  text: string;
  tokenIds: number[];
  finish: v1.Finish.$Properties;
  numPreemptions: number;
}

async function answerOf(service: InferenceService, request: v1.GenerateRequest.$Properties): Promise<Answer> {
  const context = { signal: new AbortController().signal, deadlineMs: Infinity } as RequestContext;
  const generate = service.handlers.generate as (
    request: v1.GenerateRequest.$Properties,
    context: RequestContext,
  ) => AsyncIterable<v1.GenerateEvent.$Properties>;
  const answer: Answer = { texts: [], text: "", tokenIds: [], finish: {}, numPreemptions: 0 };
  for await (const event of generate({ model: "", request_id: "", priority: 0, ...request }, context)) {
    const choice = event.choice ?? 0;
    answer.texts[choice] ??= "";
    for (const { text } of event.delta?.text ?? []) answer.texts[choice] += text ?? "";
    if (choice === 0) answer.tokenIds.push(...(event.delta?.token_ids ?? []));
    if (event.finish) answer.finish = event.finish;
  }
  return { ...answer, text: answer.texts[0]! };
}
