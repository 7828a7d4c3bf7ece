import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { v1 } from "./messages.js";
import { decodeStepPlan, decodeStepResult, encodeStepPlan, encodeStepResult } from "./step-codec.js";
import type { StepPlan, StepResult } from "./step.js";

const PLAN: StepPlan = {
  epoch: 3,
  stepId: 12,
  numGrantedSteps: 0,
  followsStepId: 6,
  tokenPlacement: "replicated",
  tokenIds: Int32Array.of(5, -1, 7),
  positions: Int32Array.of(0, 9, 1),
  seqRows: Int32Array.of(2, 0),
  queryStarts: Int32Array.of(0, 2, 3),
  seqLens: Int32Array.of(2, 10),
  outputs: Int32Array.of(0, 1),
  newRows: [
    {
      row: 2,
      seqId: 77,
      numPromptTokens: 4,
      sampling: {
        temperature: 0.5,
        topK: 3,
        topP: 0.75,
        minP: 0.25,
        presencePenalty: -1,
        frequencyPenalty: 0.5,
        repetitionPenalty: 1.5,
        seed: 2 ** 53 - 1,
        maxSeqLen: 20,
        minSeqLen: 6,
        stopTokenIds: [1, 2],
        logitBias: [{ tokenId: 9, bias: -2 }],
        numTopLogprobs: -1,
      },
    },
  ],
  blockDeltas: [Int32Array.of(2, 0, 1, 5), Int32Array.of()],
  finishedRows: Int32Array.of(1),
  masks: Int32Array.of(0, 0, 2, 3, 5, 2, 1, 1, -1),
};

const RESULT: StepResult = {
  epoch: 3,
  stepId: 12,
  seqRows: Int32Array.of(0),
  tokenIds: Int32Array.of(42),
  finishes: Int32Array.of(1),
  logprobs: Float32Array.of(-0.5),
  numTopLogprobs: 2,
  topTokenIds: Int32Array.of(42, 7),
  topLogprobs: Float32Array.of(-0.5, -1.5),
  logits: Float32Array.of(1, 2, 3),
  engineUs: 17.5,
  runsOn: true,
};

/** Over the wire and back; an odd offset shows that columns need not arrive aligned. */
function overWire<T>(
  message: { encode(m: object): { finish(): Uint8Array }; decode(b: Uint8Array): T },
  value: object,
): T {
  const bytes = message.encode(value).finish();
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  return message.decode(shifted.subarray(1));
}

describe("step codec", () => {
  it("brings a step plan over the wire unchanged", () => {
    assert.deepEqual(decodeStepPlan(overWire(v1.StepPlanColumns, encodeStepPlan(PLAN))), PLAN);
  });

  it("brings a step result over the wire unchanged", () => {
    assert.deepEqual(decodeStepResult(overWire(v1.StepResultColumns, encodeStepResult(RESULT))), RESULT);
  });

  it("names the column that is cut", () => {
    const columns = { ...encodeStepPlan(PLAN), positions: Uint8Array.of(1, 2, 3) };
    assert.throws(() => decodeStepPlan(columns), { code: "invalid_argument", message: /positions: .* got 3/ });
  });

  it("refuses biases without values", () => {
    const columns = encodeStepPlan(PLAN);
    columns.new_rows![0]!.sampling!.bias_values = [];
    assert.throws(() => decodeStepPlan(columns), { code: "invalid_argument", message: /bias_values/ });
  });
});
