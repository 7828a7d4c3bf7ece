import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { costOf } from "./cost.js";
import { fitFigures, fittedMs, type StepSample } from "./fit-figures.js";
import { CPU_RANK, type MachineProfile } from "./machine-profile.js";
import { describeDummy } from "./model-description.js";
import { resolvePlan } from "./resolved-plan.js";
import { chunkShape, decodeShapeAt } from "./step-shape.js";

const MODEL = describeDummy("gpt-oss-20b:2");
const OPTIONS = { dequantize: false, precision: "exact", seqLen: 1_024 } as const;
const COST = costOf(MODEL, resolvePlan("auto", MODEL, 1), CPU_RANK.shm, OPTIONS);
/** A machine that is unlike the one that the fit begins with. */
const TRUTH: MachineProfile = {
  ...CPU_RANK.shm,
  readBytesPerSecond: 11e9,
  flopsPerSecond: 300e9,
  attentionFlopsPerSecond: 20e9,
  opUs: 40,
  opRowUs: 1,
  stepUs: 900,
  sampleUs: 150,
  requestUs: 4_000,
};

function samplesOf(profile: MachineProfile): StepSample[] {
  const decodes = [1, 2, 4, 8, 16, 32].flatMap((count) =>
    [60, 2_000].map((length) => ({ name: "decode", shape: decodeShapeAt(MODEL, count, length), isRequest: false })),
  );
  const prefills = [16, 64, 200, 500].map((length) => {
    return { name: "prefill", shape: chunkShape(MODEL, 0, length), isRequest: true };
  });
  return [...decodes, ...prefills].map((sample) => ({
    ...sample,
    ms: fittedMs(COST, profile, sample),
    // An engine knows nothing of what lies outside; sampling is half inside.
    outsideMs: sample.isRequest ? null : (profile.stepUs + (sample.shape.numSampled * profile.sampleUs) / 2) / 1_000,
  }));
}

describe("fitFigures", () => {
  it("explains steps that the model itself made, and predicts others of the same machine", () => {
    const samples = samplesOf(TRUTH);
    const fitted = { ...CPU_RANK.shm, ...fitFigures(COST, samples) };
    for (const sample of samples) {
      const error = fittedMs(COST, fitted, sample) / sample.ms - 1;
      assert.ok(Math.abs(error) < 0.08, `${sample.shape.numTokens} tokens: ${error}`);
    }
    const other = { shape: decodeShapeAt(MODEL, 24, 700), isRequest: false };
    const error = fittedMs(COST, fitted, other) / fittedMs(COST, TRUTH, other) - 1;
    assert.ok(Math.abs(error) < 0.08, `another step: ${error}`);
    assert.ok(Math.abs(fitted.stepUs - TRUTH.stepUs) < 1, `outside the engine ${fitted.stepUs}`);
  });

  it("finds the same figures for the same samples", () => {
    assert.deepEqual(fitFigures(COST, samplesOf(TRUTH)), fitFigures(COST, samplesOf(TRUTH)));
  });

  it("stays where it began with what no sample speaks of", () => {
    const decodesAlone = samplesOf(TRUTH).filter(({ isRequest }) => !isRequest);
    const { requestUs } = fitFigures(COST, decodesAlone);
    assert.equal(requestUs, 1_000);
  });
});
