import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import type {
  EngineHandle,
  EngineOptions,
  LoadPlan,
  LoadReport,
  SharedRead,
  WeightRead,
} from "../../native/binding.js";
import { native, packagePath } from "../../native/index.js";
import { tinyStep } from "../../native/test/tiny-steps.js";
import { tinyPrograms } from "./tiny-world.js";
import { describeModel, type ModelDescription } from "../../plans/model-description.js";
import type { ProgramOp, RankProgram, WeightSource, WeightTensor } from "../../plans/rank-program.js";
import { autoPlan, planFromFlags, type ShardingPlan } from "../../plans/sharding-plan.js";
import { checkpointBytes } from "../../plans/tensor-class.js";
import { OUTPUT_LOGITS } from "../../proto/step.js";
import { FIXTURES, skipWithout } from "../paths.js";
import { openCheckpoint, type Checkpoint, type TensorInfo } from "../../worker/checkpoint/checkpoint.js";
import { planLoad } from "../../worker/checkpoint/load-plan.js";

const OPTIONS: EngineOptions = {
  packages: [packagePath("reference")],
  numThreads: 1,
  device: "cpu",
  deterministic: true,
};

interface Layout {
  name: string;
  plan: ShardingPlan;
  /** Whether the tensors that may be cut along columns are. */
  cutsHeads: boolean;
  cutsExperts: boolean;
}

const LAYOUTS: Layout[] = [
  { name: "TP 2", plan: planFromFlags(2, 1), cutsHeads: true, cutsExperts: true },
  { name: "TP 4", plan: planFromFlags(4, 1), cutsHeads: true, cutsExperts: true },
  { name: "EP 2", plan: expertPlan(2), cutsHeads: false, cutsExperts: false },
  { name: "EP 3", plan: expertPlan(3), cutsHeads: false, cutsExperts: false },
  { name: "TP 2 x EP 2", plan: planFromFlags(2, 2), cutsHeads: true, cutsExperts: true },
];

for (const fixture of ["tiny-a", "tiny-b"])
  describe(`${fixture} cut between ranks of one host`, { skip: skipWithout(fixture) }, () => {
    let checkpoint: Checkpoint;
    let model: ModelDescription;
    before(async () => {
      const modelDir = join(FIXTURES, fixture);
      model = describeModel(JSON.parse(readFileSync(join(modelDir, "config.json"), "utf8")), modelDir);
      checkpoint = await openCheckpoint(modelDir);
    });
    after(() => checkpoint.close());

    for (const { name, plan, cutsHeads, cutsExperts } of LAYOUTS) {
      it(`has all bytes of each weight where they belong, ${name}`, () => {
        const programs = tinyPrograms(plan, model);
        const plans = plansOf(programs, checkpoint);
        programs.forEach((program, rank) => checkRank(program, plans[rank]!, checkpoint));
      });

      it(`holds every element of the checkpoint on some rank, ${name}`, () => {
        const held = new Map(
          [...checkpoint.tensors.values()].map((tensor) => [tensor.name, new Uint8Array(tensor.bytes)]),
        );
        for (const program of tinyPrograms(plan, model))
          for (const weight of program.weights)
            for (const source of weight.sources) mark(held, weight, source, checkpoint);
        for (const [tensor, bytes] of held)
          assert.ok(
            bytes.every((isHeld) => isHeld === 1),
            tensor,
          );
      });

      it(`reads no byte of a cut tensor twice, and all of them, ${name}`, () => {
        const plans = plansOf(tinyPrograms(plan, model), checkpoint);
        const cut = [
          /experts\.(gate_up|down)_proj_(blocks|scales)$/,
          ...(cutsHeads ? [/self_attn\.o_proj\.weight$/] : []),
        ];
        for (const tensor of checkpoint.tensors.values())
          if (cut.some((pattern) => pattern.test(tensor.name)))
            assert.equal(bytesReadOf(tensor, plans), tensor.bytes, tensor.name);
        assert.equal(
          plans.some(({ sharedReads }) => sharedReads.length > 0),
          cutsHeads || cutsExperts,
        );
      });

      it(`reads what was planned and gives the logits of one rank, ${name}`, async () => {
        const programs = tinyPrograms(plan, model);
        const plans = plansOf(programs, checkpoint);
        const logits = await withWorld(programs, async (engines) => {
          const reports = await Promise.all(engines.map(async (engine, rank) => load(engine, plans[rank]!)));
          reports.forEach(({ bytesRead }, rank) => assert.equal(bytesRead, plans[rank]!.bytesPlanned, `rank ${rank}`));
          return logitsOf(engines);
        });
        const whole = tinyPrograms(autoPlan(1), model);
        const expected = await withWorld(whole, async (engines) => {
          await load(engines[0]!, plansOf(whole, checkpoint)[0]!);
          return logitsOf(engines);
        });
        const largest = Math.max(...expected.map(Math.abs));
        expected.forEach((value, i) => assert.ok(Math.abs(value - logits[i]!) <= 1e-4 * largest, `logits[${i}]`));
      });
    }

    it("lets one rank of each host read the rows that its ranks share", () => {
      const programs = tinyPrograms(planFromFlags(4, 1), model);
      const plans = plansOf(programs, checkpoint, (rank) => (rank < 2 ? [0, 1] : [2, 3]));
      const down = checkpoint.tensor("model.layers.0.mlp.experts.down_proj_blocks");
      assert.equal(bytesReadOf(down, plans.slice(0, 2)), down.bytes);
      assert.equal(bytesReadOf(down, plans.slice(2)), down.bytes);
      plans.forEach(({ sharedReads }, rank) => {
        for (const { ranks } of sharedReads) assert.deepEqual(ranks, rank < 2 ? [0, 1] : [2, 3]);
      });
    });

    it("lets each rank of a host read as much as its shard has, within 1 %", () => {
      for (const tp of [2, 4]) {
        const programs = tinyPrograms(planFromFlags(tp, 1), model);
        plansOf(programs, checkpoint).forEach(({ bytesPlanned }, rank) => {
          const own = programs[rank]!.weights.reduce((bytes, weight) => bytes + checkpointBytes(weight), 0);
          assert.ok(Math.abs(bytesPlanned / own - 1) <= 0.01, `rank ${rank} of ${tp}: ${bytesPlanned} for ${own}`);
        });
      }
    });
  });

describe("shared reads", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "moesaic-load-worlds-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const sizes = { rows: 2 ** 17, cols: 1024 };

  /** Two plans for halves of one weight whose rows are zeros that take no room on disk. */
  function halves(name: string): LoadPlan[] {
    const path = join(folder, name);
    const [valueBytes, scaleBytes] = [(sizes.rows * sizes.cols) / 2, (sizes.rows * sizes.cols) / 32];
    writeFileSync(path, "");
    truncateSync(path, valueBytes + scaleBytes);
    return [0, 1].map((rank) => {
      const sharedReads = Array.from({ length: 32 }, (_, piece) => halfRead(rank, piece, valueBytes));
      const bytesPlanned = sum(sharedReads.filter(({ rootRank }) => rootRank === rank));
      return { files: [{ path, bytes: valueBytes + scaleBytes }], reads: [], sharedReads, bytesPlanned };
    });
  }

  function halfRead(rank: number, piece: number, valueBytes: number): SharedRead {
    const [numRows, rowStride, scaleRowStride] = [sizes.rows / 32, sizes.cols / 2, sizes.cols / 32];
    const rowBegin = piece * numRows;
    return {
      weightIndex: 0,
      expert: 0,
      rowBegin,
      rowEnd: rowBegin + numRows,
      fileIndex: 0,
      fileOffset: rowBegin * rowStride,
      rowStride,
      colBegin: (rank * rowStride) / 2,
      colEnd: ((rank + 1) * rowStride) / 2,
      bytes: numRows * rowStride,
      scaleFileIndex: 0,
      scaleFileOffset: valueBytes + rowBegin * scaleRowStride,
      scaleRowStride,
      scaleColBegin: (rank * scaleRowStride) / 2,
      scaleColEnd: ((rank + 1) * scaleRowStride) / 2,
      scaleBytes: numRows * scaleRowStride,
      ranks: [0, 1],
      rootRank: piece % 2,
    };
  }

  it("fail on all ranks, with the file's name, when the file is truncated meanwhile", async () => {
    const plans = halves("truncated");
    const path = plans[0]!.files[0]!.path;
    await withWorld(halfPrograms(sizes), async (engines) => {
      // Both have opened the file once both report progress.
      const opened = new Set<number>();
      const truncate = (rank: number): void => {
        if (opened.add(rank).size === 2) truncateSync(path, 1000);
      };
      const loads = engines.map(async (engine, rank) => native.loadWeights(engine, plans[rank]!, () => truncate(rank)));
      const messages = (await Promise.allSettled(loads)).map((load) =>
        load.status === "rejected" ? String(load.reason) : "",
      );
      for (const message of messages) assert.match(message, new RegExp(`${path}: wanted`));
      assert.ok(messages.some((message) => /rank [01] could not read weights for this rank/.test(message)));
    });
  });

  it("fail on all ranks when one cannot even open its files", async () => {
    const plans = halves("absent");
    plans[1] = { ...plans[1]!, files: [{ ...plans[1]!.files[0]!, path: join(folder, "nowhere") }] };
    await withWorld(halfPrograms(sizes), async (engines) => {
      const loads = await Promise.allSettled(engines.map(async (engine, rank) => load(engine, plans[rank]!)));
      for (const load of loads) assert.match(load.status === "rejected" ? String(load.reason) : "", /nowhere/);
    });
  });

  it("refuse the rows of a rank whose plan is another", async () => {
    const plans = halves("differing");
    const shifted = plans[1]!.sharedReads.map((read) => ({ ...read, fileOffset: read.fileOffset + 512 }));
    plans[1] = { ...plans[1]!, sharedReads: shifted };
    await withWorld(halfPrograms(sizes), async (engines) => {
      const [, second] = await Promise.allSettled(engines.map(async (engine, rank) => load(engine, plans[rank]!)));
      assert.match(second!.status === "rejected" ? String(second!.reason) : "", /rank 0 shares other rows/);
    });
  });

  const refused: [string, (read: SharedRead) => Partial<SharedRead>, RegExp][] = [
    ["with ranks that do not ascend", () => ({ ranks: [1, 0] }), /wanted ascending ranks/],
    ["whose root is none of its ranks", () => ({ rootRank: 2 }), /rootRank 2 among them/],
    ["without the own rank", () => ({ ranks: [1, 2], rootRank: 1 }), /wanted rank 0 among its ranks/],
    [
      "of too many bytes at once",
      () => ({ rowEnd: sizes.rows, bytes: sizes.rows * 512, scaleBytes: sizes.rows * 32 }),
      /at most/,
    ],
    ["that counts its slices instead of its rows", (read) => ({ bytes: read.bytes / 2 }), /bytes of rows for/],
    ["whose rows lie behind the file", () => ({ fileOffset: 2 ** 40 }), /within the/],
  ];
  for (const [what, change, message] of refused) {
    it(`are refused ${what}`, async () => {
      const [plan] = halves("refused");
      const sharedReads = plan!.sharedReads.map((read, i) => (i === 0 ? { ...read, ...change(read) } : read));
      await withWorld(halfPrograms(sizes), async ([engine]) => {
        await assert.rejects(load(engine!, { ...plan!, sharedReads }), message);
      });
    });
  }

  it("are refused out of file order, in which ranks would wait for each other", async () => {
    const [plan] = halves("unordered");
    await withWorld(halfPrograms(sizes), async ([engine]) => {
      await assert.rejects(load(engine!, { ...plan!, sharedReads: plan!.sharedReads.toReversed() }), /file order/);
    });
  });

  it("are refused by an engine that is alone", async () => {
    const [plan] = halves("alone");
    const engine = native.openEngine(halfPrograms(sizes)[0]!, OPTIONS);
    await assert.rejects(load(engine, plan!), { code: "failed_precondition", message: /connect/ });
    native.closeEngine(engine);
  });
});

// ---- layouts -------------------------------------------------------------------------------------------------------

/** Experts over `ep` ranks, attention whole on each. */
function expertPlan(ep: number): ShardingPlan {
  return { ...autoPlan(ep), attention: { tp: 1, ranks: "auto" }, experts: { ep, tp: 1, assign: "auto" } };
}

function plansOf(programs: RankProgram[], checkpoint: Checkpoint, hostOf?: (rank: number) => number[]): LoadPlan[] {
  const all = programs.map(({ rank }) => rank);
  return programs.map((program) => {
    const { weights } = native.describeProgram(program, OPTIONS);
    return planLoad(program, checkpoint, weights, hostOf?.(program.rank) ?? all);
  });
}

/** TP 2 worlds of one linear op, each over half of the columns of a matrix of `rows` rows. */
function halfPrograms({ rows, cols }: { rows: number; cols: number }): RankProgram[] {
  return tinyPrograms(planFromFlags(2, 1)).map((program): RankProgram => {
    const half: [number, number] = [(program.rank * cols) / 2, ((program.rank + 1) * cols) / 2];
    const source = {
      tensor: "w_blocks",
      scales: "w_scales",
      shape: [rows, cols],
      experts: [0],
      rows: [0, rows],
      cols: half,
      dstRow: 0,
    };
    const weight = {
      name: "w",
      role: "matrix",
      sourceDtype: "mxfp4",
      storedDtype: "bf16",
      numExperts: 1,
      rows,
      cols: cols / 2,
    };
    const linear: ProgramOp = { op: "linear", x: "x", weight: "w", bias: null, out: "y", accumulate: false };
    return {
      ...program,
      weights: [{ ...weight, sources: [source] } as WeightTensor],
      buffers: [
        { name: "x", rows: "tokens", cols: cols / 2, dtype: "f32" },
        { name: "y", rows: "tokens", cols: rows, dtype: "f32" },
      ],
      ops: [linear],
      shardedOps: [linear],
    };
  });
}

// ---- engines -------------------------------------------------------------------------------------------------------

/** Engines of all programs, connected through shared memory when there are several. */
async function withWorld<T>(programs: RankProgram[], use: (engines: EngineHandle[]) => Promise<T>): Promise<T> {
  const engines = programs.map((program) => native.openEngine(program, OPTIONS));
  const dataPlanes = engines.map(() => native.listenDataPlane("127.0.0.1:0"));
  try {
    if (engines.length > 1) {
      const addresses = dataPlanes.map((dataPlane) => native.dataPlaneAddresses(dataPlane));
      const peers = addresses.map((own, rank) => ({ rank, hostId: "here", addresses: own }));
      const key = new Uint8Array(randomBytes(32));
      const options = { epoch: 1, peers, key, deadlineMs: 5000, transport: "shm" as const };
      await Promise.all(engines.map(async (engine, rank) => native.connectEngine(engine, dataPlanes[rank]!, options)));
    }
    return await use(engines);
  } finally {
    engines.forEach((engine) => native.closeEngine(engine));
    dataPlanes.forEach((dataPlane) => native.closeDataPlane(dataPlane));
  }
}

async function load(engine: EngineHandle, plan: LoadPlan): Promise<LoadReport> {
  return native.loadWeights(engine, plan, () => {});
}

/** Of all tokens of one prompt. */
async function logitsOf(engines: EngineHandle[]): Promise<Float32Array> {
  const [lead, ...followers] = engines;
  const following = Promise.allSettled(followers.map(async (engine) => native.followLead(engine)));
  const sequences = [{ row: 0, begin: 0, tokenIds: [3, 250, 4, 17], output: OUTPUT_LOGITS, begins: {} }];
  const { logits } = await native.step(lead!, tinyStep(sequences));
  if (followers.length > 0) await native.endEpoch(lead!);
  await following;
  return logits;
}

// ---- bytes ---------------------------------------------------------------------------------------------------------

function sum(reads: readonly WeightRead[]): number {
  return reads.reduce((total, { bytes, scaleBytes }) => total + bytes + scaleBytes, 0);
}

/** What all these ranks read of the tensor from disk. */
function bytesReadOf(tensor: TensorInfo, plans: LoadPlan[]): number {
  const end = tensor.fileOffset + tensor.bytes;
  const isOf = (file: number, offset: number): boolean =>
    file === tensor.fileIndex && offset >= tensor.fileOffset && offset < end;
  const reads = plans.flatMap((plan) => plan.reads);
  // Of a shared read the root's entry alone counts: it is the only one that differs from rank to rank by who reads.
  const shared = new Map(
    plans.flatMap((plan) => plan.sharedReads).map((read) => [`${read.ranks.join(",")}/${read.fileOffset}`, read]),
  );
  return [...reads, ...shared.values()].reduce((total, read) => {
    const values = isOf(read.fileIndex, read.fileOffset) ? read.bytes : 0;
    return total + values + (isOf(read.scaleFileIndex, read.scaleFileOffset) ? read.scaleBytes : 0);
  }, 0);
}

/** Carries out a rank's plan on the files' bytes and compares every weight with the slices that its sources name. */
function checkRank(program: RankProgram, plan: LoadPlan, checkpoint: Checkpoint): void {
  const files = plan.files.map(({ path }) => readFileSync(path));
  program.weights.forEach((weight, weightIndex) => {
    const reads = [...plan.reads, ...plan.sharedReads].filter((read) => read.weightIndex === weightIndex);
    const found = new Map<string, Buffer>();
    for (const read of reads)
      for (let row = read.rowBegin; row < read.rowEnd; ++row) {
        const at = read.fileOffset + (row - read.rowBegin) * read.rowStride;
        const scaleAt = read.scaleFileOffset + (row - read.rowBegin) * read.scaleRowStride;
        assert.ok(
          !found.has(`${read.expert}/${row}`),
          `${weight.name}: row ${row} of expert ${read.expert} comes twice`,
        );
        const scales = files[read.scaleFileIndex]?.subarray(scaleAt + read.scaleColBegin, scaleAt + read.scaleColEnd);
        const values = files[read.fileIndex]!.subarray(at + read.colBegin, at + read.colEnd);
        found.set(`${read.expert}/${row}`, Buffer.concat([values, scales ?? Buffer.of()]));
      }
    const expected = new Map(weight.sources.flatMap((source) => expectedRows(weight, source, checkpoint, files)));
    assert.equal(found.size, weight.numExperts * weight.rows, weight.name);
    for (const [row, bytes] of expected) assert.ok(found.get(row)?.equals(bytes), `${weight.name}: ${row}`);
  });
}

function expectedRows(
  weight: WeightTensor,
  source: WeightSource,
  checkpoint: Checkpoint,
  files: Buffer[],
): [string, Buffer][] {
  return source.experts.flatMap((globalExpert, expert) =>
    Array.from({ length: source.rows[1] - source.rows[0] }, (_, i): [string, Buffer] => {
      const parts = rangesOf(weight, source, checkpoint, globalExpert, source.rows[0] + i);
      const bytes = parts.map(({ tensor, begin, end }) => {
        return files[tensor.fileIndex]!.subarray(tensor.fileOffset + begin, tensor.fileOffset + end);
      });
      return [`${expert}/${source.dstRow + i}`, Buffer.concat(bytes)];
    }),
  );
}

function mark(held: Map<string, Uint8Array>, weight: WeightTensor, source: WeightSource, checkpoint: Checkpoint): void {
  for (const expert of source.experts)
    for (let row = source.rows[0]; row < source.rows[1]; ++row)
      for (const { tensor, begin, end } of rangesOf(weight, source, checkpoint, expert, row))
        held.get(tensor.name)!.fill(1, begin, end);
}

/** Bytes within its tensors of the part of one row that a source names: values, and scales of MXFP4. */
function rangesOf(weight: WeightTensor, source: WeightSource, checkpoint: Checkpoint, expert: number, row: number) {
  const [rows, cols] =
    weight.role === "vector" ? [source.shape.at(-1)!, 1] : [source.shape.at(-2)!, source.shape.at(-1)!];
  // Bits of one column: bf16 has 16, MXFP4 has 4 and a byte of scale for 32 columns.
  const sliceOf = (name: string, bitsPerCol: number) => {
    const first = ((expert * rows + row) * cols * bitsPerCol) / 8;
    const [begin, end] = source.cols.map((col) => first + (col * bitsPerCol) / 8) as [number, number];
    return { tensor: checkpoint.tensor(name), begin, end };
  };
  if (source.scales === null) return [sliceOf(source.tensor, 16)];
  return [sliceOf(source.tensor, 4), sliceOf(source.scales, 0.25)];
}
