import assert from "node:assert/strict";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import * as fc from "fast-check";
import type { LoadPlan, ProgramDescription, WeightRead } from "../../native/binding.js";
import { lower } from "../../plans/lower.js";
import { describeDummy } from "../../plans/model-description.js";
import type { RankProgram, WeightSource, WeightTensor } from "../../plans/rank-program.js";
import { resolvePlan } from "../../plans/resolved-plan.js";
import { planFromFlags } from "../../plans/sharding-plan.js";
import { checkpointBytes } from "../../plans/tensor-class.js";
import { filledSafetensors, writeFolder, writeSparse, type TensorSpec } from "../../test/hostile-checkpoint.js";
import { openCheckpoint, type Checkpoint } from "./checkpoint.js";
import { MAX_READ_BYTES, planLoad } from "./load-plan.js";

let dir = "";
let numModels = 0;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "moesaic-load-plan-"));
});
after(() => rm(dir, { recursive: true }));

describe("planLoad", () => {
  it("reads whole rows of a slice and says which rows of the weight they fill", async () => {
    const weight = matrix("qkv", 1, 6, 4, [
      slice("q", [8, 4], { rows: [2, 6], dstRow: 0 }),
      slice("k", [4, 4], { rows: [2, 4], dstRow: 4 }),
    ]);
    await usingModel([bf16("k", [4, 4]), bf16("q", [8, 4])], (checkpoint) => {
      const { files, reads, bytesPlanned } = planLoad(program([weight]), checkpoint, [described(weight, 2)]);
      const data = checkpoint.tensor("k").fileOffset;
      assert.deepEqual(files, [{ path: checkpoint.files[0]?.path, bytes: checkpoint.files[0]?.bytes }]);
      assert.deepEqual(reads, [
        bf16Read(8, { rowBegin: 4, rowEnd: 6, fileOffset: data + 2 * 8, bytes: 2 * 8 }),
        bf16Read(8, { rowBegin: 0, rowEnd: 4, fileOffset: data + 4 * 8 + 2 * 8, bytes: 4 * 8 }),
      ]);
      assert.equal(bytesPlanned, 48);
    });
  });

  it("reads blocks and scales of local experts together", async () => {
    const weight = mxfp4("down", [1, 2], [4, 64], {});
    const tensors = [u8("down_blocks", [3, 4, 2, 16]), u8("down_scales", [3, 4, 2])];
    await usingModel(tensors, (checkpoint) => {
      const { reads, bytesPlanned } = planLoad(program([weight]), checkpoint, [described(weight, 4)]);
      const blocks = checkpoint.tensor("down_blocks").fileOffset;
      const scales = checkpoint.tensor("down_scales").fileOffset;
      const expected = [1, 2].map((expert) => ({
        weightIndex: 0,
        expert: expert - 1,
        rowBegin: 0,
        rowEnd: 4,
        fileIndex: 0,
        fileOffset: blocks + expert * 4 * 32,
        ...columns(32, 0, 32),
        bytes: 4 * 32,
        scaleFileIndex: 0,
        scaleFileOffset: scales + expert * 4 * 2,
        ...scaleColumns(2, 0, 2),
        scaleBytes: 4 * 2,
      }));
      assert.deepEqual(reads, expected);
      assert.equal(bytesPlanned, 2 * (128 + 8));
    });
  });

  it("cuts pieces at granules and keeps values with scales under the limit", async () => {
    const weight = mxfp4("up", [0], [20, 32], {});
    await usingModel([u8("up_blocks", [1, 20, 1, 16]), u8("up_scales", [1, 20, 1])], (checkpoint) => {
      const { reads } = planLoad(program([weight]), checkpoint, [described(weight, 4)], [0], 9 * 17);
      assert.deepEqual(rowRanges(reads), [
        [0, 8],
        [8, 16],
        [16, 20],
      ]);
    });
  });

  it("reads vectors as rows of one element, for each local expert", async () => {
    const weight = vector("bias", 2, 3, [slice("b", [4, 6], { experts: [2, 3], rows: [3, 6], cols: [0, 1] })]);
    await usingModel([bf16("b", [4, 6])], (checkpoint) => {
      const { reads } = planLoad(program([weight]), checkpoint, [described(weight, 1)]);
      const data = checkpoint.tensor("b").fileOffset;
      assert.deepEqual(reads, [
        bf16Read(2, { expert: 0, rowBegin: 0, rowEnd: 3, fileOffset: data + (2 * 6 + 3) * 2, bytes: 6 }),
        bf16Read(2, { expert: 1, rowBegin: 0, rowEnd: 3, fileOffset: data + (3 * 6 + 3) * 2, bytes: 6 }),
      ]);
    });
  });

  describe("cut along columns", () => {
    // A row of o has 8192 bytes.
    const oShape = [64, 4096];
    const cutO = (cols: [number, number]) =>
      matrix("o", 1, 64, cols[1] - cols[0], [slice("o", oShape, { rows: [0, 64], cols })]);
    const world = (weight: WeightTensor, rank: number, holders: number[], rankSizes = [1, 1, 1, 1]): RankProgram =>
      ({
        rank,
        weights: [weight],
        dims: { expertRanks: [[], holders], rankHeads: rankSizes, rankIntermediateSizes: rankSizes },
        tokenOwners: holders,
      }) as unknown as RankProgram;

    it("reads slices of at least a disk block alone, and nothing else", async () => {
      const weight = cutO([2048, 4096]);
      await usingModel([bf16("o", oShape)], (checkpoint) => {
        const plan = planLoad(world(weight, 1, [0, 1]), checkpoint, [described(weight, 64)], [0, 1]);
        const fileOffset = checkpoint.tensor("o").fileOffset;
        const read = bf16Read(8192, { rowEnd: 64, fileOffset, ...columns(8192, 4096, 8192), bytes: 64 * 4096 });
        assert.deepEqual(plan.reads, [read]);
        assert.deepEqual(plan.sharedReads, []);
        assert.equal(plan.bytesPlanned, tensorBytes(checkpoint, "o") / 2);
      });
    });

    it("shares finer ones, with a reader that all ranks agree about though their slices differ", async () => {
      const cuts: [number, number][] = [
        [0, 3072],
        [3072, 3584],
        [3584, 4096],
      ];
      await usingModel([bf16("o", oShape)], (checkpoint) => {
        const plans = cuts.map((cols, rank) =>
          planLoad(world(cutO(cols), rank, [0, 1, 2], [6, 1, 1]), checkpoint, [described(cutO(cols), 64)], [0, 1, 2]),
        );
        for (const { reads, sharedReads } of plans) {
          assert.deepEqual(reads, []);
          assert.deepEqual(sharedReads[0]?.ranks, [0, 1, 2]);
          assert.equal(sharedReads[0]?.rootRank, plans[0]?.sharedReads[0]?.rootRank);
        }
        const planned = plans.map(({ bytesPlanned }) => bytesPlanned).toSorted((a, b) => a - b);
        assert.deepEqual(planned, [0, 0, tensorBytes(checkpoint, "o")]);
      });
    });

    it("gives each rank a band of the rows that is as long as its columns are wide, in pieces of 4 MiB at most", async () => {
      const cuts: [number, number][] = [
        [0, 3072],
        [3072, 4096],
      ];
      await usingModel([bf16("o", [768, 4096])], (checkpoint) => {
        const plans = cuts.map((cols, rank) => {
          const weight = matrix("o", 1, 768, cols[1] - cols[0], [slice("o", [768, 4096], { rows: [0, 768], cols })]);
          return planLoad(world(weight, rank, [0, 1, 2, 3], [6, 2]), checkpoint, [described(weight, 64)], [0, 1]);
        });
        for (const { sharedReads } of plans) {
          assert.deepEqual(
            sharedReads.map(({ rootRank, rowBegin, rowEnd }) => [rootRank, rowBegin, rowEnd]),
            [
              [0, 0, 512],
              [0, 512, 576],
              [1, 576, 768],
            ],
          );
        }
        assert.deepEqual(
          plans.map(({ bytesPlanned }) => bytesPlanned),
          [576 * 8192, 192 * 8192],
        );
      });
    });

    it("reads whole rows of experts for itself where it is the only one of its host", async () => {
      const weight = mxfp4("down", [1], [64, 64], { cols: [32, 64] }, 2);
      const tensors = [u8("down_blocks", [2, 64, 2, 16]), u8("down_scales", [2, 64, 2])];
      await usingModel(tensors, (checkpoint) => {
        const plan = planLoad(world(weight, 3, [1, 3]), checkpoint, [described(weight, 64)], [2, 3]);
        const [read] = plan.sharedReads;
        assert.deepEqual([read?.ranks, read?.rootRank, read?.colBegin, read?.colEnd], [[3], 3, 16, 32]);
        assert.deepEqual([read?.scaleColBegin, read?.scaleColEnd], [1, 2]);
        assert.equal(plan.bytesPlanned, 64 * 34);
      });
    });

    it("refuses a kernel whose granule does not divide the rows that are shared at once", async () => {
      const weight = mxfp4("down", [1], [64, 64], { cols: [32, 64] }, 2);
      const tensors = [u8("down_blocks", [2, 64, 2, 16]), u8("down_scales", [2, 64, 2])];
      await usingModel(tensors, (checkpoint) => {
        const plan = () => planLoad(world(weight, 3, [1, 3]), checkpoint, [described(weight, 48)], [2, 3]);
        assert.throws(plan, { code: "failed_precondition", message: /granules that divide 64 rows/ });
      });
    });
  });

  it("takes experts in the order that the weight wants", async () => {
    const weight = mxfp4("down", [2, 0], [4, 64], {}, 3);
    const tensors = [u8("down_blocks", [3, 4, 2, 16]), u8("down_scales", [3, 4, 2])];
    await usingModel(tensors, (checkpoint) => {
      const { reads } = planLoad(program([weight]), checkpoint, [described(weight, 4)]);
      const blocks = checkpoint.tensor("down_blocks").fileOffset;
      const places = reads.map(({ expert, fileOffset }) => [expert, (fileOffset - blocks) / (4 * 32)]);
      assert.deepEqual(places, [
        [1, 0],
        [0, 2],
      ]);
    });
  });

  // As in gpt-oss-20b, where one layer's experts lie in two shards.
  it("takes blocks from one shard and their scales from another", async () => {
    const modelDir = join(dir, "two-shards");
    const weight = mxfp4("up", [0], [2, 32], {});
    await writeFolder(modelDir, {
      "model.safetensors.index.json": '{"weight_map":{"up_scales":"a.safetensors","up_blocks":"b.safetensors"}}',
      "a.safetensors": filledSafetensors([u8("up_scales", [1, 2, 1])], () => 0),
      "b.safetensors": filledSafetensors([u8("up_blocks", [1, 2, 1, 16])], () => 0),
    });
    const checkpoint = await openCheckpoint(modelDir);
    const { files, reads } = planLoad(program([weight]), checkpoint, [described(weight, 1)]);
    await checkpoint.close();
    assert.deepEqual(
      files.map(({ path }) => path),
      [join(modelDir, "a.safetensors"), join(modelDir, "b.safetensors")],
    );
    assert.deepEqual(
      reads.map((read) => [read.fileIndex, read.scaleFileIndex]),
      [[1, 0]],
    );
  });

  it("takes the MXFP4 experts of a checkpoint that has them dequantised as well", async () => {
    const weight = mxfp4("up", [0], [2, 32], {});
    const tensors = [bf16("up", [1, 32, 2]), u8("up_blocks", [1, 2, 1, 16]), u8("up_scales", [1, 2, 1])];
    await usingModel(tensors, (checkpoint) => {
      const { reads } = planLoad(program([weight]), checkpoint, [described(weight, 1)]);
      assert.deepEqual(
        reads.map((read) => read.fileOffset),
        [checkpoint.tensor("up_blocks").fileOffset],
      );
    });
  });

  // The file's bytes say where they are, so each planned row can be read back and compared with the tensor's own row.
  it("plans every row of any slice once, in file order, within the limits", async () => {
    const shape = fc.record({
      experts: fc.integer({ min: 1, max: 4 }),
      rows: fc.integer({ min: 1, max: 24 }),
      blocksPerRow: fc.integer({ min: 1, max: 3 }),
      rowGranule: fc.integer({ min: 1, max: 5 }),
      granulesPerRead: fc.integer({ min: 1, max: 4 }),
      expertCut: fc.nat(),
      rowCut: fc.nat(),
    });
    await fc.assert(fc.asyncProperty(shape, checkRandomPlan), { numRuns: 60 });
  });

  describe("on the shapes of gpt-oss-20b", () => {
    const sizes = { layers: 24, hidden: 2880, experts: 32, qWidth: 4096, kvWidth: 512, heads: 64, vocab: 201_088 };

    // 13,761,264,768 is the total_size of the published index. Of it 24 * 32 * 13,236,480 bytes are experts.
    for (const { numRanks, bytes } of [
      { numRanks: 1, bytes: 13_761_264_768 },
      { numRanks: 2, bytes: 13_761_264_768 - (24 * 32 * 13_236_480) / 2 },
      { numRanks: 8, bytes: 13_761_264_768 - (24 * 32 * 13_236_480 * 7) / 8 },
    ]) {
      it(`plans ${bytes} bytes for a rank of ${numRanks} that share the experts`, async () => {
        const weights = gptOssWeights(sizes, sizes.experts / numRanks);
        await usingModel(gptOssTensors(sizes), (checkpoint) => {
          const plan = planLoad(
            program(weights),
            checkpoint,
            weights.map((weight) => described(weight, 64)),
          );
          assert.equal(plan.bytesPlanned, bytes);
          assertOrdered(plan);
          assert.ok(plan.reads.every((read) => read.bytes + read.scaleBytes <= MAX_READ_BYTES));
        });
      });
    }
  });

  describe("on gpt-oss-20b with experts of 90 blocks in unequal parts", () => {
    const model = describeDummy("gpt-oss-20b");
    const limits = { maxBatchedTokens: 16, maxSequences: 4, maxSeqLen: 64, blockSize: 16, numBlocks: 16 };
    const programsOf = (tp: number): RankProgram[] => {
      const plan = resolvePlan(planFromFlags(tp, 1), model, tp);
      return range(0, tp).map((rank) => lower(model, plan, rank, { limits, precision: "exact", dequantize: false }));
    };
    for (const tp of [4, 8]) {
      it(`lets each of ${tp} ranks read what its shard has, within 1 %, and all of them the same bands`, async () => {
        const programs = programsOf(tp);
        await usingModel(tensorsOf(programsOf(1)[0]!), (checkpoint) => {
          const plans = programs.map((program) => {
            const sizes = program.weights.map((weight) => described(weight, 64));
            return planLoad(program, checkpoint, sizes, range(0, tp));
          });
          const bandsOf = ({ sharedReads }: LoadPlan) =>
            sharedReads.map((read) => `${read.fileOffset} ${read.bytes} ${read.rootRank}`).join("\n");
          for (const [rank, plan] of plans.entries()) {
            const own = programs[rank]!.weights.reduce((sum, weight) => sum + checkpointBytes(weight), 0);
            assert.ok(Math.abs(plan.bytesPlanned / own - 1) <= 0.01, `rank ${rank}: ${plan.bytesPlanned} for ${own}`);
            assert.ok(bandsOf(plan) === bandsOf(plans[0]!), `rank ${rank} has other bands than rank 0`);
            assertOneTensorEach(plan, programs[rank]!);
            const shared = programs[rank]!.weights.filter((_, index) => isSharedIn(plan, index));
            const due = shared.reduce((sum, weight) => sum + checkpointBytes(weight), 0);
            const read = sharedBytesOf(plan, rank);
            assert.ok(Math.abs(read / due - 1) <= 0.01, `rank ${rank}: ${read} shared bytes for ${due}`);
          }
        });
      });
    }
  });

  describe("refuses", () => {
    const experts = "model.layers.0.mlp.experts.gate_up_proj";
    const weight = mxfp4(experts, [0, 1], [4, 64], {});
    const norm = vector("norm", 1, 8, [slice("model.norm.weight", [8], { rows: [0, 8], cols: [0, 1] })]);
    const goodBlocks = u8(`${experts}_blocks`, [2, 4, 2, 16]);
    const goodScales = u8(`${experts}_scales`, [2, 4, 2]);

    const cases = [
      {
        name: "blocks of another dtype",
        tensors: [bf16(`${experts}_blocks`, [2, 4, 2, 16]), goodScales],
        tensor: `${experts}_blocks`,
        message: /wanted U8 \[2, 4, 2, 16\], there is BF16 \[2, 4, 2, 16\]/,
      },
      {
        name: "blocks of another shape with as many bytes",
        tensors: [u8(`${experts}_blocks`, [4, 2, 2, 16]), goodScales],
        tensor: `${experts}_blocks`,
        message: /wanted U8 \[2, 4, 2, 16\], there is U8 \[4, 2, 2, 16\]/,
      },
      {
        name: "blocks of another rank",
        tensors: [u8(`${experts}_blocks`, [2, 4, 32]), goodScales],
        tensor: `${experts}_blocks`,
        message: /wanted U8 \[2, 4, 2, 16\], there is U8 \[2, 4, 32\]/,
      },
      {
        name: "scales of another shape",
        tensors: [goodBlocks, u8(`${experts}_scales`, [2, 4, 1])],
        tensor: `${experts}_scales`,
        message: /wanted U8 \[2, 4, 2\], there is U8 \[2, 4, 1\]/,
      },
      {
        name: "a float32 norm",
        tensors: [goodBlocks, goodScales, { name: "model.norm.weight", dtype: "F32" as const, shape: [8] }],
        tensor: "model.norm.weight",
        message: /wanted BF16 \[8\], there is F32 \[8\]/,
      },
      {
        name: "a norm of another size",
        tensors: [goodBlocks, goodScales, bf16("model.norm.weight", [4])],
        tensor: "model.norm.weight",
        message: /wanted BF16 \[8\], there is BF16 \[4\]/,
      },
    ];
    for (const { name, tensors, tensor, message } of cases) {
      it(name, async () => {
        await usingModel(tensors, (checkpoint) => {
          const place = `${checkpoint.files[0]?.path}: tensor ${tensor}`;
          const plan = () => planLoad(program([weight, norm]), checkpoint, [described(weight, 1), described(norm, 1)]);
          assert.throws(plan, { name: "MoesaicError", code: "invalid_argument", place, message });
        });
      });
    }

    it("blocks without scales", async () => {
      await usingModel([goodBlocks], (checkpoint) => {
        const plan = () => planLoad(program([weight]), checkpoint, [described(weight, 1)]);
        assert.throws(plan, {
          code: "not_found",
          message: /gate_up_proj_scales.* similar names .*gate_up_proj_blocks/,
        });
      });
    });

    it("experts that were dequantised, saying what to use", async () => {
      await usingModel([bf16(experts, [2, 64, 4])], (checkpoint) => {
        const place = `${checkpoint.files[0]?.path}: tensor ${experts}`;
        const plan = () => planLoad(program([weight]), checkpoint, [described(weight, 1)]);
        const message = /dequantised to BF16 \[2, 64, 4\]; use the MXFP4 checkpoint/;
        assert.throws(plan, { code: "unimplemented", place, message });
      });
    });

    it("a granule that does not fit a read", async () => {
      await usingModel([goodBlocks, goodScales], (checkpoint) => {
        const plan = () => planLoad(program([weight]), checkpoint, [described(weight, 4)], [0], 4 * 34 - 1);
        assert.throws(plan, { code: "resource_exhausted", message: /wanted 4 rows of .* 135 bytes, a row has 34/ });
      });
    });

    it("a source that begins or ends inside a granule", async () => {
      const weight = matrix("qk", 1, 6, 4, [
        slice("q", [3, 4], { rows: [0, 3] }),
        slice("k", [3, 4], { rows: [0, 3], dstRow: 3 }),
      ]);
      await usingModel([bf16("q", [3, 4]), bf16("k", [3, 4])], (checkpoint) => {
        const plan = () => planLoad(program([weight]), checkpoint, [described(weight, 2)]);
        assert.throws(plan, { code: "failed_precondition", message: /wanted q to fill whole granules of 2 rows/ });
      });
    });

    it("a program that contradicts itself", async () => {
      await usingModel([bf16("w", [4, 4])], (checkpoint) => {
        for (const [rows, source] of [
          [4, slice("w", [4, 4], { rows: [0, 5] })],
          [4, slice("w", [4, 4], { rows: [0, 4], dstRow: 1 })],
          [4, slice("w", [4, 4], { rows: [0, 4], cols: [0, 5] })],
          [4, slice("w", [4, 4], { rows: [0, 4], experts: [0, 2] })],
        ] as const) {
          const weight = matrix("w", 1, rows, 4, [source]);
          assert.throws(() => planLoad(program([weight]), checkpoint, [described(weight, 1)]), { code: "internal" });
        }
        const weight = matrix("w", 1, 4, 4, [slice("w", [4, 4], { rows: [0, 4] })]);
        assert.throws(() => planLoad(program([weight]), checkpoint, []), { code: "internal" });
      });
    });
  });
});

/** The tensors from which the program of one rank takes everything, as they are stored. */
function tensorsOf({ weights }: RankProgram): TensorSpec[] {
  const sources = weights.flatMap((weight) => weight.sources);
  return sources.flatMap(({ tensor, scales, shape }) => {
    if (scales === null) return [bf16(tensor, shape)];
    const blocks = [...shape.slice(0, -1), shape.at(-1)! / 32];
    return [u8(tensor, [...blocks, 16]), u8(scales, blocks)];
  });
}

/** Bands of one expert of a weight begin where the one before ends, and end with its rows. */
function assertOneTensorEach({ sharedReads }: LoadPlan, { weights }: RankProgram): void {
  const nextRows = new Map<string, number>();
  for (const { weightIndex, expert, rowBegin, rowEnd } of sharedReads) {
    const key = `${weightIndex} ${expert}`;
    assert.equal(rowBegin, nextRows.get(key) ?? 0);
    nextRows.set(key, rowEnd);
  }
  for (const [key, rows] of nextRows) assert.equal(rows, weights[Number.parseInt(key)]!.rows);
}

function isSharedIn({ sharedReads }: LoadPlan, weightIndex: number): boolean {
  return sharedReads.some((read) => read.weightIndex === weightIndex);
}

function sharedBytesOf({ sharedReads }: LoadPlan, rank: number): number {
  return sharedReads
    .filter(({ rootRank }) => rootRank === rank)
    .reduce((sum, { bytes, scaleBytes }) => sum + bytes + scaleBytes, 0);
}

interface RandomPlan {
  experts: number;
  rows: number;
  blocksPerRow: number;
  rowGranule: number;
  granulesPerRead: number;
  expertCut: number;
  rowCut: number;
}

async function checkRandomPlan(random: RandomPlan): Promise<void> {
  const { experts, rows, blocksPerRow, rowGranule } = random;
  const [expertBegin, rowBegin] = [random.expertCut % experts, random.rowCut % rows];
  const cut = { experts: range(expertBegin, experts), rows: [rowBegin, rows] as [number, number] };
  const weight = mxfp4("w", cut.experts, [rows, 32 * blocksPerRow], { rows: cut.rows }, experts);
  const maxReadBytes = random.granulesPerRead * rowGranule * blocksPerRow * 17;
  const tensors = [u8("w_scales", [experts, rows, blocksPerRow]), u8("w_blocks", [experts, rows, blocksPerRow, 16])];
  await usingModel(tensors, async (checkpoint) => {
    const plan = planLoad(program([weight]), checkpoint, [described(weight, rowGranule)], [0], maxReadBytes);
    assertOrdered(plan);
    const unread = new Set(
      range(0, experts - expertBegin).flatMap((e) => range(0, rows - rowBegin).map((r) => `${e}/${r}`)),
    );
    for (const read of plan.reads) {
      assert.equal(read.rowBegin % rowGranule, 0);
      assert.ok(read.bytes + read.scaleBytes <= maxReadBytes);
      const values = await readBytes(plan, read.fileIndex, read.fileOffset, read.bytes);
      const scales = await readBytes(plan, read.scaleFileIndex, read.scaleFileOffset, read.scaleBytes);
      const firstRow = (read.expert + expertBegin) * rows + read.rowBegin + rowBegin;
      const numRows = read.rowEnd - read.rowBegin;
      assert.deepEqual(values, await tensorRows(checkpoint, "w_blocks", firstRow, numRows, blocksPerRow * 16));
      assert.deepEqual(scales, await tensorRows(checkpoint, "w_scales", firstRow, numRows, blocksPerRow));
      for (const row of range(read.rowBegin, read.rowEnd)) assert.ok(unread.delete(`${read.expert}/${row}`));
    }
    assert.equal(unread.size, 0);
  });
}

async function tensorRows(checkpoint: Checkpoint, name: string, firstRow: number, numRows: number, rowBytes: number) {
  const { fileIndex, fileOffset } = checkpoint.tensor(name);
  return await readBytes(checkpoint, fileIndex, fileOffset + firstRow * rowBytes, numRows * rowBytes);
}

async function readBytes(
  from: { files: readonly { path: string }[] },
  fileIndex: number,
  offset: number,
  bytes: number,
) {
  const handle = await open(from.files[fileIndex]?.path ?? "");
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, offset);
  await handle.close();
  return buffer.subarray(0, bytesRead);
}

function assertOrdered({ reads, bytesPlanned }: LoadPlan): void {
  for (const [readIndex, read] of reads.slice(1).entries()) {
    const before = reads[readIndex] as WeightRead;
    assert.ok(before.fileIndex < read.fileIndex || before.fileOffset + before.bytes <= read.fileOffset);
  }
  assert.equal(
    bytesPlanned,
    reads.reduce((sum, read) => sum + read.bytes + read.scaleBytes, 0),
  );
}

/** Small models get bytes that differ from place to place; those over a megabyte are sparse. */
async function usingModel(tensors: TensorSpec[], use: (checkpoint: Checkpoint) => Promise<void> | void): Promise<void> {
  const modelDir = join(dir, `model-${numModels++}`);
  const path = join(modelDir, "model.safetensors");
  if (tensors.length < 10) {
    await writeFolder(modelDir, { "model.safetensors": filledSafetensors(tensors, (offset) => (offset * 167) % 251) });
  } else {
    await mkdir(modelDir);
    await writeSparse(path, tensors);
  }
  const checkpoint = await openCheckpoint(modelDir);
  try {
    await use(checkpoint);
  } finally {
    await checkpoint.close();
    await rm(path);
  }
}

interface Sizes {
  layers: number;
  /** Hidden and intermediate size, which are equal. */
  hidden: number;
  experts: number;
  qWidth: number;
  kvWidth: number;
  heads: number;
  vocab: number;
}

/** Name and shape of everything stored as bfloat16 but the experts' biases. */
function gptOssDense({ layers, hidden, experts, qWidth, kvWidth, heads, vocab }: Sizes): [string, number[]][] {
  const layer = (index: number): [string, number[]][] => [
    [`${index}.input_layernorm.weight`, [hidden]],
    [`${index}.post_attention_layernorm.weight`, [hidden]],
    [`${index}.self_attn.q_proj.weight`, [qWidth, hidden]],
    [`${index}.self_attn.q_proj.bias`, [qWidth]],
    [`${index}.self_attn.k_proj.weight`, [kvWidth, hidden]],
    [`${index}.self_attn.k_proj.bias`, [kvWidth]],
    [`${index}.self_attn.v_proj.weight`, [kvWidth, hidden]],
    [`${index}.self_attn.v_proj.bias`, [kvWidth]],
    [`${index}.self_attn.o_proj.weight`, [hidden, qWidth]],
    [`${index}.self_attn.o_proj.bias`, [hidden]],
    [`${index}.self_attn.sinks`, [heads]],
    [`${index}.mlp.router.weight`, [experts, hidden]],
    [`${index}.mlp.router.bias`, [experts]],
  ];
  return [
    ["embed", [vocab, hidden]],
    ["lm_head", [vocab, hidden]],
    ["norm", [hidden]],
    ...range(0, layers).flatMap(layer),
  ];
}

function gptOssTensors(sizes: Sizes): TensorSpec[] {
  const { hidden, experts } = sizes;
  const expertTensors = range(0, sizes.layers).flatMap((index) =>
    expertRows(sizes, index).flatMap(([name, rows]) => [
      u8(`${name}_blocks`, [experts, rows, hidden / 32, 16]),
      u8(`${name}_scales`, [experts, rows, hidden / 32]),
      bf16(`${name}_bias`, [experts, rows]),
    ]),
  );
  return [...gptOssDense(sizes).map(([name, shape]) => bf16(name, shape)), ...expertTensors];
}

function gptOssWeights(sizes: Sizes, numLocalExperts: number): WeightTensor[] {
  const experts = range(sizes.experts - numLocalExperts, sizes.experts);
  const dense = gptOssDense(sizes).map(([name, shape]) => {
    const [rows, cols] = [shape[0] ?? 0, shape[1] ?? 1];
    const source = slice(name, shape, { rows: [0, rows], cols: [0, cols] });
    return shape.length === 1 ? vector(name, 1, rows, [source]) : matrix(name, 1, rows, cols, [source]);
  });
  const expertWeights = range(0, sizes.layers).flatMap((index) =>
    expertRows(sizes, index).flatMap(([name, rows]) => [
      mxfp4(name, experts, [rows, sizes.hidden], {}, sizes.experts),
      vector(`${name}_bias`, numLocalExperts, rows, [
        slice(`${name}_bias`, [sizes.experts, rows], { experts, rows: [0, rows], cols: [0, 1] }),
      ]),
    ]),
  );
  return [...dense, ...expertWeights];
}

function expertRows({ hidden }: Sizes, layerIndex: number): [string, number][] {
  return [
    [`${layerIndex}.gate_up`, 2 * hidden],
    [`${layerIndex}.down`, hidden],
  ];
}

function tensorBytes(checkpoint: Checkpoint, name: string): number {
  return checkpoint.tensor(name).bytes;
}

function rowRanges(reads: WeightRead[]): [number, number][] {
  return reads.map(({ rowBegin, rowEnd }) => [rowBegin, rowEnd]);
}

function program(weights: WeightTensor[]): RankProgram {
  return { rank: 0, weights, dims: {}, tokenOwners: [0] } as unknown as RankProgram;
}

function described({ name }: WeightTensor, rowGranule: number): ProgramDescription["weights"][number] {
  return { name, bytes: 0, layoutId: "any", rowGranule };
}

function matrix(name: string, numExperts: number, rows: number, cols: number, sources: WeightSource[]): WeightTensor {
  return { name, role: "matrix", sourceDtype: "bf16", storedDtype: "bf16", numExperts, rows, cols, sources };
}

function vector(name: string, numExperts: number, rows: number, sources: WeightSource[]): WeightTensor {
  return { name, role: "vector", sourceDtype: "bf16", storedDtype: "f32", numExperts, rows, cols: 1, sources };
}

/** An mxfp4 weight from the tensors NAME_blocks and NAME_scales, `experts` of `allExperts`. */
function mxfp4(
  name: string,
  experts: number[],
  [rows, cols]: [number, number],
  cut: Partial<Pick<WeightSource, "rows" | "cols">>,
  allExperts = Math.max(...experts) + 1,
): WeightTensor {
  const source = {
    ...slice(`${name}_blocks`, [allExperts, rows, cols], { rows: [0, rows], cols: [0, cols], experts, ...cut }),
    scales: `${name}_scales`,
  };
  const size = { rows: source.rows[1] - source.rows[0], cols: source.cols[1] - source.cols[0] };
  const numExperts = experts.length;
  return { name, role: "matrix", sourceDtype: "mxfp4", storedDtype: "mxfp4", numExperts, ...size, sources: [source] };
}

function slice(tensor: string, shape: number[], cut: Partial<WeightSource>): WeightSource {
  const cols: [number, number] = [0, shape.at(-1) ?? 1];
  return { tensor, scales: null, shape, experts: [0], rows: [0, 0], cols, dstRow: 0, ...cut };
}

/** Whole bf16 rows. */
function bf16Read(rowStride: number, read: Partial<WeightRead>): WeightRead {
  const nothing = { weightIndex: 0, expert: 0, rowBegin: 0, rowEnd: 0, fileIndex: 0, fileOffset: 0, bytes: 0 };
  const noScales = { scaleFileIndex: -1, scaleFileOffset: 0, ...scaleColumns(0, 0, 0), scaleBytes: 0 };
  return { ...nothing, ...columns(rowStride, 0, rowStride), ...noScales, ...read };
}

function columns(rowStride: number, colBegin: number, colEnd: number) {
  return { rowStride, colBegin, colEnd };
}

function scaleColumns(scaleRowStride: number, scaleColBegin: number, scaleColEnd: number) {
  return { scaleRowStride, scaleColBegin, scaleColEnd };
}

function bf16(name: string, shape: number[]): TensorSpec {
  return { name, dtype: "BF16", shape };
}

function u8(name: string, shape: number[]): TensorSpec {
  return { name, dtype: "U8", shape };
}

function range(begin: number, end: number): number[] {
  return Array.from({ length: end - begin }, (_, index) => begin + index);
}
