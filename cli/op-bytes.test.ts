import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { tinyProgram } from "../native/test/tiny-program.js";
import type { ProgramOp } from "../plans/rank-program.js";
import { opBytes, opLabel, type StepShape } from "./op-bytes.js";

const PROGRAM = tinyProgram();
/** Two heads of keys, two of values, of 16 float32 each. */
const KV_BYTES = 2 * 2 * 16 * 4;
const STEP: StepShape = {
  numTokens: 3,
  numLogitsRows: 2,
  sequences: [
    { queryLen: 1, seqLen: 20 },
    { queryLen: 2, seqLen: 5 },
  ],
  expertsHit: 3,
};

describe("opBytes", () => {
  const weightBytes = new Map(PROGRAM.weights.map(({ name }, index) => [name, 1_000_000 * (index + 1)]));
  const bytesOf = (op: ProgramOp, program = PROGRAM): number => opBytes(op, { program, weightBytes }, STEP);
  const weight = (name: string): number => weightBytes.get(name)!;

  it("of a linear are its weight, its bias and its rows in and out", () => {
    const [qkv, o] = PROGRAM.ops.filter(({ op }) => op === "linear");
    assert.equal(bytesOf(qkv!), weight("0.qkv") + weight("0.qkv_bias") + 3 * 4 * (64 + 128));
    assert.equal(bytesOf(o!), weight("0.o") + weight("0.o_bias") + 3 * 4 * (64 + 2 * 64), "x is read to be added to");
  });

  it("of what works on logits follow from the rows that want them", () => {
    const head = PROGRAM.ops.findLast(({ op }) => op === "linear")!;
    assert.equal(bytesOf(head), weight("lm_head") + 2 * 4 * (64 + 128));
    assert.equal(bytesOf(PROGRAM.ops.at(-1)!), 2 * 4 * 128);
  });

  it("of experts are those of the chosen ones", () => {
    const experts = PROGRAM.ops.find(({ op }) => op === "experts")!;
    const whole = ["gate_up", "gate_up_bias", "down", "down_bias"].reduce((sum, name) => sum + weight(`0.${name}`), 0);
    assert.equal(bytesOf(experts), (whole * 3) / 4 + 3 * 4 * (64 + 2 * 64));
  });

  it("of attention are the keys and values within its window, half of them in bf16", () => {
    const [sliding, full] = PROGRAM.ops.filter(({ op }) => op === "attention");
    const rows = 2 * 3 * 4 * 64;
    assert.equal(bytesOf(full!), rows + KV_BYTES * (20 + 5));
    // The window holds 8 keys; two queries see 9, but there are only 5.
    assert.equal(bytesOf(sliding!), rows + KV_BYTES * (8 + 5));
    assert.equal(bytesOf(full!, { ...PROGRAM, precision: "fast" }), rows + (KV_BYTES / 2) * (20 + 5));
  });
});

describe("opLabel", () => {
  it("tells linears and attentions apart", () => {
    const labels = new Set(PROGRAM.ops.map(opLabel));
    for (const label of ["linear qkv", "linear o", "linear lm_head", "attention full", "attention sliding", "experts"])
      assert.ok(labels.has(label), label);
  });
});
