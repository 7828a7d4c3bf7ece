import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";

import { defaultsInUse } from "./cluster-spec-defaults.js";
import { parseClusterSpec } from "./cluster-spec.js";
import { explainPlan, type EngineSizes, type ExplainInput } from "./explain.js";
import { lower } from "./lower.js";
import { chooseLimits, limitsRequestOf, provisionalLimits } from "./memory.js";
import { describeDummy, describeModel, type ModelDescription } from "./model-description.js";
import type { ProgramLimits, RankProgram } from "./rank-program.js";
import { resolvePlan } from "./resolved-plan.js";

const GOLDEN = "plans/testdata/explain-demo.txt";

const CLUSTER = `apiVersion: moesaic.dev/v1
kind: Cluster
metadata: { name: demo }
spec: { model: ./models/moesaic-demo, engine: { blockSize: 32 } }
`;

describe("explainPlan", () => {
  // UPDATE_GOLDEN=1 writes the file anew; its diff is what a reviewer reads.
  it("explains the demo model as the golden file has it", () => {
    const { text } = explainPlan(demoInput());
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(GOLDEN, text);
    assert.equal(text, readFileSync(GOLDEN, "utf8"));
  });

  it("gives bytes that add up to the engine's own", () => {
    const input = demoInput();
    const { json } = explainPlan(input);
    assert.equal(sum(json.tensors.map(({ bytes }) => bytes)), input.sizes.weightsBytes);
    const { weights_bytes: weights, kv_bytes: kv, workspace_bytes: workspace, total_bytes: total } = json.arenas;
    assert.deepEqual(
      [weights, kv, workspace],
      [input.sizes.weightsBytes, input.sizes.kvBytes, input.sizes.workspaceBytes],
    );
    assert.equal(total, weights + kv + workspace);
  });

  it("counts the bytes that the checkpoint has behind its header, as one rank reads all of them", () => {
    const file = readFileSync("models/moesaic-demo/model.safetensors");
    assert.equal(explainPlan(demoInput()).json.checkpoint_bytes, file.length - 8 - Number(file.readBigUInt64LE(0)));
  });

  it("counts for one decoded token what its four experts and one row of the embedding take", () => {
    const { json } = explainPlan(input20b(null));
    const bytesOf = (name: string): number =>
      sum(json.tensors.filter((row) => row.class === name).map((row) => row.bytes));
    const read =
      2_880 * 2 +
      (bytesOf("experts") * 4) / 32 +
      ["attention", "router", "norms", "lm_head"].reduce((part, name) => part + bytesOf(name), 0);
    assert.equal(json.decode.weights_bytes, read);
    assert.equal(json.decode.kv_bytes, 12 * (1_024 + 128) * 2 * 8 * 64 * 4);
    assert.equal(json.decode.tokens_per_second_max, null);
  });

  it("counts keys and values of precision fast as bf16", () => {
    const input = input20b(null);
    const fast = explainPlan({ ...input, program: { ...input.program, precision: "fast" } }).json;
    assert.equal(fast.decode.kv_bytes, explainPlan(input).json.decode.kv_bytes / 2);
    assert.deepEqual(
      fast.kv_groups.map(({ bytes_per_token: bytes }) => bytes),
      [12 * 2 * 8 * 64 * 2, 12 * 2 * 8 * 64 * 2],
    );
  });

  it("bounds the speed by bandwidth over bytes", () => {
    const { json } = explainPlan(input20b(32e9));
    assert.equal(json.decode.tokens_per_second_max, 32e9 / json.decode.total_bytes);
  });

  it("says what dequantize would change", () => {
    const { json, text } = explainPlan(input20b(null));
    assert.ok(json.dequantize !== null);
    assert.equal(json.dequantize.difference_bytes, json.dequantize.other_weights_bytes - json.dequantize.weights_bytes);
    // 2 bytes in place of 17/32 an element of every expert.
    assert.equal(json.dequantize.difference_bytes, 24 * 32 * 3 * 2_880 * 2_880 * (2 - 17 / 32));
    assert.match(text, /weights with dequantize: true .*\+28,068,249,600 B/);
  });

  it("states the padding of a smaller KV group", () => {
    const model = describeDummy("gpt-oss-20b:3");
    const { json } = explainPlan({ ...input20b(null), ...programOf(model) });
    assert.deepEqual(
      json.kv_groups.map((group) => [group.kind, group.num_layers, group.num_padding_layers]),
      [
        ["full", 1, 1],
        ["sliding", 2, 0],
      ],
    );
  });

  it("gives plain JSON in snake_case", () => {
    const { json } = explainPlan(demoInput());
    assert.deepEqual(JSON.parse(JSON.stringify(json)), json);
    assert.deepEqual(
      keysOf(json).filter((key) => /[A-Z]/.test(key)),
      [],
    );
  });
});

function demoInput(): ExplainInput {
  const cluster = parseClusterSpec(CLUSTER, "cluster.yaml");
  const model = describeModel(JSON.parse(readFileSync("models/moesaic-demo/config.json", "utf8")), "config.json");
  const request = limitsRequestOf(cluster);
  const provisional = provisionalLimits(request, model);
  const plan = resolvePlan("auto", model, 1);
  const loweredTo = (limits: ProgramLimits, dequantize: boolean): RankProgram =>
    lower(model, plan, 0, { limits, precision: "exact", dequantize });
  const device = { ...sizesOf(loweredTo(provisional.limits, false)), memoryBytes: 8 * 2 ** 30 };
  const { limits, choices } = chooseLimits(provisional, request, model, device);
  return {
    modelName: cluster.spec.servedModelName,
    program: loweredTo(limits, false),
    sizes: sizesOf(loweredTo(limits, false)),
    otherSizes: sizesOf(loweredTo(limits, true)),
    dequantize: false,
    choices,
    defaults: defaultsInUse(cluster),
    readBytesPerSecond: 30e9,
  };
}

function input20b(readBytesPerSecond: number | null): ExplainInput {
  const rest = { modelName: "gpt-oss-20b", dequantize: false, choices: [], defaults: [], readBytesPerSecond };
  return { ...rest, ...programOf(describeDummy("gpt-oss-20b")) };
}

function programOf(model: ModelDescription): Pick<ExplainInput, "program" | "sizes" | "otherSizes"> {
  const limits = { maxBatchedTokens: 512, maxSequences: 16, maxSeqLen: 8_192, blockSize: 16, numBlocks: 1_000 };
  const plan = resolvePlan("auto", model, 1);
  const [program, other] = [false, true].map((dequantize) =>
    lower(model, plan, 0, { limits, precision: "exact", dequantize }),
  );
  assert.ok(program !== undefined && other !== undefined);
  return { program, sizes: sizesOf(program), otherSizes: sizesOf(other) };
}

/** Sizes as an engine with the plainest packing would describe them. */
function sizesOf(program: RankProgram): EngineSizes {
  const bits = { bf16: 16, mxfp4: 4.25, f32: 32 };
  const weights = program.weights.map((weight) => ({
    name: weight.name,
    bytes: (weight.numExperts * weight.rows * weight.cols * bits[weight.storedDtype]) / 8,
  }));
  const mostLayers = Math.max(...program.kvGroups.map(({ layers }) => layers.length));
  const { dims, limits } = program;
  const kvBlockBytes = limits.blockSize * (mostLayers * 2 * dims.numKvHeads * dims.headDim * 4 + 4);
  return {
    weightsBytes: sum(weights.map(({ bytes }) => bytes)),
    kvBytes: limits.numBlocks * kvBlockBytes,
    kvBlockBytes,
    workspaceBytes: sum(program.buffers.map(({ cols }) => 4 * cols * limits.maxBatchedTokens)),
    weights,
    kernels: program.ops.map(({ op }) => ({ package: "reference", kernel: `${op}_f32`, ops: [op] })),
  };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function keysOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  const nested = Object.values(value).flatMap(keysOf);
  return Array.isArray(value) ? nested : [...Object.keys(value), ...nested];
}
