import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import { lower, type LowerOptions } from "./lower.js";
import { describeDummy, describeModel, type ModelDescription } from "./model-description.js";
import type { ProgramOp, RankProgram, WeightSource, WeightTensor } from "./rank-program.js";
import { resolvePlan } from "./resolved-plan.js";

const OPTIONS: LowerOptions = {
  limits: { maxBatchedTokens: 64, maxSequences: 4, maxSeqLen: 512, blockSize: 16, numBlocks: 100 },
  precision: "exact",
  dequantize: false,
};

function lowered(model: ModelDescription, options: Partial<LowerOptions> = {}): RankProgram {
  return lower(model, resolvePlan("auto", model, 1), 0, { ...OPTIONS, ...options });
}

describe("lower", () => {
  it("reads every byte of the published checkpoints once", () => {
    assert.equal(sourceBytes(lowered(describeDummy("gpt-oss-20b"))), 13_761_264_768);
    assert.equal(sourceBytes(lowered(describeDummy("gpt-oss-120b"))), 65_248_815_744);
    assert.equal(sourceTensors(lowered(describeDummy("gpt-oss-20b"))).size, 459);
    assert.equal(sourceTensors(lowered(describeDummy("gpt-oss-120b"))).size, 687);
  });

  // The file is the one the weights are read from, so names, shapes and types must all agree with it.
  it("reads the demo checkpoint's tensors, all of them, in their shapes", () => {
    const program = lowered(describeModel(readJson("models/moesaic-demo/config.json"), "config.json"));
    const inFile = readShapes("models/moesaic-demo/model.safetensors");
    const inProgram = new Map(
      program.weights.flatMap(({ sources, sourceDtype }) => sources.flatMap(storedShapes(sourceDtype))),
    );
    assert.deepEqual(inProgram, inFile);
  });

  it("fills every row of every weight once", () => {
    for (const { name, rows, cols, numExperts, sources, role } of lowered(describeDummy("gpt-oss-20b:2")).weights) {
      let row = 0;
      for (const source of sources) {
        assert.equal(source.dstRow, row, name);
        assert.equal(source.experts.length, numExperts, name);
        assert.equal(source.cols[1] - source.cols[0], role === "vector" ? 1 : cols, name);
        row += source.rows[1] - source.rows[0];
      }
      assert.equal(row, rows, name);
    }
  });

  it("fuses q, k and v into one matrix, in this order", () => {
    const [qkv, bias] = ["layers.1.qkv", "layers.1.qkv_bias"].map((name) =>
      weightOf(lowered(describeDummy("gpt-oss-20b:2")), name),
    );
    assert.deepEqual(
      qkv?.sources.map(({ tensor, dstRow }) => [tensor, dstRow]),
      [
        ["model.layers.1.self_attn.q_proj.weight", 0],
        ["model.layers.1.self_attn.k_proj.weight", 4_096],
        ["model.layers.1.self_attn.v_proj.weight", 4_608],
      ],
    );
    assert.deepEqual([qkv?.rows, qkv?.cols, bias?.rows, bias?.storedDtype], [5_120, 2_880, 5_120, "f32"]);
  });

  it("runs the ops of a layer in order", () => {
    const { ops } = lowered(describeDummy("gpt-oss-20b:1"));
    assert.deepEqual(
      ops.map(({ op }) => op),
      [
        ...["rope_table", "embed"],
        ...["rms_norm", "linear", "rope_kv_write", "attention", "linear"],
        ...["rms_norm", "router", "experts", "combine"],
        ...["gather_rows", "rms_norm", "linear", "sample"],
      ],
    );
  });

  // Any name that no op wrote before, or that is no weight, would be caught only at load otherwise.
  it("reads only buffers that an earlier op wrote, and names weights and buffers that exist", () => {
    for (const changes of [{}, { attentionBias: false }]) {
      const program = lowered({ ...describeDummy("gpt-oss-20b:3"), ...changes });
      const weights = new Set(program.weights.map(({ name }) => name));
      const buffers = new Set(program.buffers.map(({ name }) => name));
      const written = new Set<string>();
      const used = new Set<string>();
      for (const op of program.ops) {
        for (const [field, name] of namesOf(op)) {
          assert.ok(weights.has(name) || buffers.has(name), `${op.op}.${field}: ${name}`);
          if (buffers.has(name) && !isOutput(op, field))
            assert.ok(written.has(name), `${op.op} reads ${name} too early`);
          used.add(name);
        }
        for (const [field, name] of namesOf(op)) if (isOutput(op, field)) written.add(name);
      }
      assert.deepEqual(
        [...weights, ...buffers].filter((name) => !used.has(name)),
        [],
        "nothing is unused",
      );
    }
  });

  it("gives linear and experts weights that fit their buffers", () => {
    const program = lowered(describeDummy("gpt-oss-20b:2"));
    const cols = new Map(program.buffers.map((buffer) => [buffer.name, buffer.cols]));
    for (const op of program.ops) {
      if (op.op === "linear") {
        assert.equal(weightOf(program, op.weight)?.cols, cols.get(op.x));
        assert.equal(weightOf(program, op.weight)?.rows, cols.get(op.out));
      }
      if (op.op === "experts")
        assert.equal(cols.get(op.out), (weightOf(program, op.down)?.rows ?? 0) * program.dims.expertsPerToken);
    }
  });

  it("gives full and sliding layers a KV group each, and ops the layer in it", () => {
    const program = lowered(describeDummy("gpt-oss-20b:4"));
    assert.deepEqual(program.kvGroups, [
      { kind: "full", window: 0, layers: [1, 3] },
      { kind: "sliding", window: 128, layers: [0, 2] },
    ]);
    assert.deepEqual(attentions(program), [
      [1, 0, 128],
      [0, 1, 0],
      [1, 2, 128],
      [0, 3, 0],
    ]);
  });

  it("keeps a model whose layers all slide in group 0, still masked by its window", () => {
    const model = { ...describeDummy("gpt-oss-20b:2"), layerKinds: ["sliding" as const, "sliding" as const] };
    const program = lowered(model);
    assert.deepEqual(program.kvGroups, [{ kind: "full", window: 0, layers: [0, 1] }]);
    assert.deepEqual(attentions(program), [
      [0, 0, 128],
      [0, 1, 128],
    ]);
  });

  it("has one group when no layer slides", () => {
    const program = lowered({ ...describeDummy("gpt-oss-20b:2"), layerKinds: ["full", "full"], slidingWindow: 0 });
    assert.deepEqual(program.kvGroups, [{ kind: "full", window: 0, layers: [0, 1] }]);
  });

  it("stores experts as bf16 when told to dequantize, and nothing else differently", () => {
    const model = describeDummy("gpt-oss-20b:2");
    const stored = ({ weights }: RankProgram): string[] =>
      weights.map(({ name, storedDtype }) => `${name} ${storedDtype}`);
    const plain = stored(lowered(model));
    const dequantized = stored(lowered(model, { dequantize: true }));
    assert.deepEqual(plain.filter((line) => line.endsWith("mxfp4")).length, 4);
    assert.deepEqual(
      dequantized,
      plain.map((line) => line.replace("mxfp4", "bf16")),
    );
  });

  it("has no attention biases when the model has none", () => {
    const program = lowered({ ...describeDummy("gpt-oss-20b:1"), attentionBias: false });
    const biases = program.ops.flatMap((op) => (op.op === "linear" ? [op.bias] : []));
    assert.deepEqual(biases, [null, null, null]);
    assert.ok(!sourceTensors(program).has("model.layers.0.self_attn.q_proj.bias"));
  });

  it("takes the head from the embedding when they are tied", () => {
    const program = lowered({ ...describeDummy("gpt-oss-20b:1"), tieWordEmbeddings: true });
    assert.equal(weightOf(program, "lm_head")?.sources[0]?.tensor, "model.embed_tokens.weight");
    assert.ok(!sourceTensors(program).has("lm_head.weight"));
  });

  it("moves nothing in a world of one", () => {
    const { shardedOps, groups, tokenOwners, dims } = lowered(describeDummy("gpt-oss-20b:2"));
    assert.deepEqual({ shardedOps, groups, tokenOwners }, { shardedOps: null, groups: [[0]], tokenOwners: [0] });
    assert.deepEqual(
      dims.expertRanks,
      dims.localExperts.map(() => [0]),
    );
    assert.deepEqual([dims.vocabBegin, dims.globalVocabSize, dims.numGlobalExperts], [0, dims.vocabSize, 32]);
  });

  it("is plain JSON", () => {
    const program = lowered(describeDummy("gpt-oss-20b:2"));
    assert.deepEqual(JSON.parse(JSON.stringify(program)), program);
  });
});

function sourceBytes({ weights }: RankProgram): number {
  return weights.reduce(
    (sum, weight) => sum + weight.sources.reduce((part, source) => part + bytesOf(weight, source), 0),
    0,
  );
}

function bytesOf({ sourceDtype }: WeightTensor, { experts, rows, cols }: WeightSource): number {
  const elements = experts.length * (rows[1] - rows[0]) * (cols[1] - cols[0]);
  return sourceDtype === "bf16" ? 2 * elements : elements / 2 + elements / 32;
}

function sourceTensors({ weights }: RankProgram): Set<string> {
  const names = weights.flatMap(({ sources }) => sources.flatMap(({ tensor, scales }) => [tensor, scales]));
  return new Set(names.filter((name) => name !== null));
}

/** Names with dtype and shape as they are in a file. */
function storedShapes(dtype: string): (source: WeightSource) => [string, string][] {
  return ({ tensor, scales, shape }) => {
    if (dtype === "bf16" || scales === null) return [[tensor, `BF16 ${shape.join(" ")}`]];
    const blocks = [...shape.slice(0, -1), (shape.at(-1) ?? 0) / 32];
    return [
      [tensor, `U8 ${blocks.join(" ")} 16`],
      [scales, `U8 ${blocks.join(" ")}`],
    ];
  };
}

function readShapes(path: string): Map<string, string> {
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString("utf8")) as Record<
    string,
    { dtype: string; shape: number[] }
  >;
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(tensors.map(([name, { dtype, shape }]) => [name, `${dtype} ${shape.join(" ")}`]));
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

function weightOf({ weights }: RankProgram, name: string): WeightTensor | undefined {
  return weights.find((weight) => weight.name === name);
}

function attentions({ ops }: RankProgram): number[][] {
  return ops.flatMap((op) => (op.op === "attention" ? [[op.group, op.layer, op.window]] : []));
}

function namesOf(op: ProgramOp): [string, string][] {
  return Object.entries(op).filter(
    (entry): entry is [string, string] => entry[0] !== "op" && typeof entry[1] === "string",
  );
}

/** What an op writes without reading it first. */
function isOutput(op: ProgramOp, field: string): boolean {
  if (op.op === "router") return field === "expertIds" || field === "expertWeights";
  if (op.op === "linear") return field === "out" && !op.accumulate;
  return field === "out" && op.op !== "combine";
}
