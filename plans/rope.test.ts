import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { ropeTable, type RopeParameters } from "./rope.js";

const GPT_OSS = {
  kind: "yarn",
  base: 150_000,
  factor: 32,
  betaFast: 32,
  betaSlow: 1,
  originalMaxPositions: 4_096,
  truncate: false,
  attentionScaling: 0.1 * Math.log(32) + 1,
} as const satisfies RopeParameters;

/** Dimension, frequency, and where it differs the frequency with truncated borders. */
const TABLE: [d: number, plain: number, truncated?: number][] = [
  [0, 1],
  [1, 6.8904430589e-1],
  [7, 7.374456821e-2],
  [8, 5.0813274815e-2],
  [9, 3.1705696185e-2, 3.1620752275e-2],
  [10, 1.9335001127e-2, 1.9450967544e-2],
  [11, 1.1592049256e-2, 1.1792191099e-2],
  [12, 6.7949594897e-3, 7.0157139105e-3],
  [13, 3.8603593172e-3, 4.0695547148e-3],
  [14, 2.093792379e-3, 2.2772719363e-3],
  [15, 1.0526021014e-3, 1.206130969e-3],
  [16, 4.5648391922e-4, 5.8094750193e-4],
  [17, 1.2931870125e-4, 2.279477958e-4],
  [18, 3.8308812374e-5],
  [19, 2.6396469031e-5],
  [25, 2.8250668272e-6],
  [31, 3.0235114281e-7],
];

describe("ropeTable", () => {
  it("gives gpt-oss's frequencies with fractional borders of the ramp", () => {
    const { invFreq, attentionScaling } = ropeTable(64, GPT_OSS);
    assert.equal(invFreq.length, 32);
    for (const [d, plain] of TABLE) assertClose(invFreq[d], plain, d);
    assertClose(attentionScaling, 1.3465735902799727, -1);
  });

  it("gives other frequencies with truncated borders", () => {
    const { invFreq } = ropeTable(64, { ...GPT_OSS, truncate: true });
    for (const [d, plain, truncated] of TABLE) assertClose(invFreq[d], truncated ?? plain, d);
  });

  it("leaves frequencies alone without scaling", () => {
    const { invFreq, attentionScaling } = ropeTable(64, { kind: "default", base: 10_000 });
    assertClose(invFreq[16], 0.01, 16);
    assert.equal(attentionScaling, 1);
  });

  it("stays finite when the ramp has no width", () => {
    const { invFreq } = ropeTable(4, { ...GPT_OSS, originalMaxPositions: 1 });
    assert.ok(invFreq.every((frequency) => Number.isFinite(frequency) && frequency > 0));
  });
});

function assertClose(actual: number | undefined, expected: number, d: number): void {
  assert.ok(
    actual !== undefined && Math.abs(actual / expected - 1) < 1e-9,
    `d = ${d}: ${actual}, expected ${expected}`,
  );
}
