import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { tinyProgram } from "../native/test/tiny-program.js";
import { kernelFigures, totalFigures, type TimedStep } from "./kernel-figures.js";

describe("kernelFigures", () => {
  const program = tinyProgram();
  const weightBytes = new Map(program.weights.map(({ name }) => [name, 1_024]));
  const kernels = program.ops.map(({ op }) => ({ package: "p", kernel: `${op}_k`, ops: [op as string] }));
  const times = (us: number): Float64Array => Float64Array.from(kernels, () => us);
  const step: TimedStep = {
    phase: "decode",
    numTokens: 1,
    sequences: [{ queryLen: 1, seqLen: 20 }],
    stepUs: [70, 50, 60],
    kernelUs: [times(3), times(1), times(2)],
    expertsHit: [1, 2, 3],
  };
  const lines = kernelFigures({ program, weightBytes }, kernels, step);

  it("adds the layers of an op up and tells the median of the steps", () => {
    const experts = lines.find(({ op }) => op === "experts")!;
    assert.deepEqual([experts["calls"], experts["us"], experts["us_per_call"]], [2, 4, 2]);
    assert.equal(experts["kernel"], "p:experts_k");
    // Of four experts two on average, 2048 bytes of each layer's 4 x 1024, and rows of 64 in and 2 x 64 out.
    assert.equal(experts["bytes"], 2 * (2_048 + 4 * (64 + 128)));
    assert.equal(experts["gb_per_second"], experts["bytes"] / 4 / 1e3);
  });

  it("has every op in it, and all of them in the total", () => {
    const total = totalFigures(lines, step);
    assert.equal(total["calls"], kernels.length);
    assert.equal(total["us"], 2 * kernels.length);
    assert.equal(total["step_us"], 60);
    assert.equal(lines.find(({ op }) => op === "linear qkv")!["step_us"], null);
  });

  it("takes a fused kernel for all of its ops", () => {
    const at = program.ops.findIndex(({ op }) => op === "rope_kv_write");
    const fused = { package: "p", kernel: "f", ops: ["linear", "rope_kv_write"] };
    const some = kernels.toSpliced(at - 1, 2, fused);
    const [line] = kernelFigures({ program, weightBytes }, some, step).filter(({ kernel }) => kernel === "p:f");
    assert.equal(line!["op"], "linear qkv + rope_kv_write");
    assert.equal(line!["calls"], 1);
  });
});
