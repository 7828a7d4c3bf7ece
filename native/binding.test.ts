import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";

import type { RankProgram } from "../plans/rank-program.js";
import { failure } from "../test/thrown.js";
import type { EngineHandle, EngineOptions } from "./binding.js";
import { native, packagePath } from "./index.js";
import { awkwardPackagePath } from "./test/awkward-package.js";
import { tinyProgram } from "./test/tiny-program.js";
import { openTinyEngine, tinyStep } from "./test/tiny-steps.js";

const OPTIONS: EngineOptions = {
  packages: [packagePath("reference")],
  numThreads: 2,
  device: "cpu",
  deterministic: true,
};
const PAGE_BYTES = 4096;

describe("native binding", () => {
  // The two texts are compared, since neither compiler sees the other's side.
  it("registers the functions of binding.ts, same names, same order", () => {
    const source = join(packageRoot(), "native");
    const declared =
      readFileSync(join(source, "binding.ts"), "utf8").match(/interface Binding \{[\s\S]*?\n\}/)?.[0] ?? "";
    const registered = readFileSync(join(source, "addon.cc"), "utf8").matchAll(/\badd\("(\w+)"/g);
    // One that has two signatures is registered once.
    const names = [...new Set([...declared.matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1]))];
    assert.ok(names.length >= 12);
    assert.deepEqual(
      [...registered].map((match) => match[1]),
      names,
    );
    assert.deepEqual(Object.keys(native), names);
  });

  it("describes the device", () => {
    const device = native.deviceProperties();
    assert.equal(device.kind, "cpu");
    assert.ok(device.numCores >= 1);
    assert.ok(device.memoryBytes > 2 ** 26);
  });

  it("measures reads and refuses absurd requests", async () => {
    assert.ok((await native.measureReadBandwidth(1, 2 ** 22, 1)) > 1e8);
    await assert.rejects(native.measureReadBandwidth(0, 2 ** 22, 1), failure("invalid_argument", /numThreads/));
    await assert.rejects(native.measureReadBandwidth(1, Number.NaN, 1), failure("invalid_argument", /bytes.*NaN/));
    await assert.rejects(native.measureReadBandwidth(1, 2 ** 50, 1), failure("resource_exhausted", /allocate/));
  });

  it("measures reads of files of the size that is expected, and names one that is not so", async () => {
    const path = packagePath("reference");
    const bytes = statSync(path).size;
    assert.ok((await native.measureFileReads([{ path, bytes }], 2)) > 1e6);
    const longer = native.measureFileReads([{ path, bytes: bytes + 1 }], 1);
    await assert.rejects(longer, failure("failed_precondition", /libmoesaic_kernels_reference\.so: changed/));
    const absent = native.measureFileReads([{ path: `${path}.absent`, bytes }], 1);
    await assert.rejects(absent, failure("not_found", /could not be opened/));
  });
});

describe("openPackage", () => {
  it("lists the kernels of a package, longer sequences first", () => {
    const info = native.openPackage(awkwardPackagePath());
    assert.equal(info.name, "awkward");
    assert.deepEqual(info.kernels[0], { name: "norm_linear", ops: ["rms_norm", "linear"] });
  });

  it("refuses what is no kernel package, and says why", () => {
    const open = (path: unknown) => () => native.openPackage(path as string);
    assert.throws(open("reference"), failure("invalid_argument", /absolute path/));
    assert.throws(open("/no/such/package.so"), failure("not_found", /no such file/));
    assert.throws(open(process.execPath), failure("failed_precondition", /cannot be loaded/));
    assert.throws(
      open(join(packageRoot(), "native", "binding.ts")),
      failure("failed_precondition", /cannot be loaded/),
    );
    assert.throws(open("/tmp"), failure("failed_precondition", /not a file/));
    assert.throws(open(awkwardPackagePath("awkward_abi")), failure("failed_precondition", /ABI version 999/));
    assert.throws(open(null), failure("invalid_argument", /expected a string, got null/));
  });
});

describe("surveyKernels", () => {
  const verdicts = (program: RankProgram, packages: string[]) =>
    native.surveyKernels(program, { ...OPTIONS, packages }).map(({ kernel, state, reason }) => [kernel, state, reason]);

  it("asks every kernel, whichever would get the op", () => {
    assert.deepEqual(verdicts(tinyProgram(), [awkwardPackagePath(), packagePath("reference")]).slice(0, 3), [
      ["norm_linear", "runs", null],
      ["embed", "runs", null],
      ["encode", "unused", "no op of the program is of its kind"],
    ]);
  });

  it("knows what is for GPUs", { skip: !existsSync(packagePath("cuda")) && "the cuda package is not built" }, () => {
    const surveyed = new Map(
      verdicts(tinyProgram(), [packagePath("cuda")]).map(([kernel, ...verdict]) => [kernel, verdict]),
    );
    const otherDevice = ["other_device", "is for GPUs"];
    assert.deepEqual(surveyed.get("rms_norm_f32"), otherDevice);
    assert.deepEqual(surveyed.get("attention_exact"), otherDevice);
    // Its KV is bf16, the program's float32.
    assert.deepEqual(surveyed.get("attention_fast"), ["unsupported", "does not support these shapes or dtypes"]);
    assert.equal(surveyed.get("mxfp4_decode_f32")?.[0], "unused");
  });
});

describe("describeProgram", () => {
  // The arenas are the only new mappings of exactly these sizes; guard pages keep them apart from their neighbours.
  it("says byte for byte what openEngine allocates", () => {
    const program = tinyProgram();
    const { weightsBytes, kvBytes, workspaceBytes, kvBlockBytes } = native.describeProgram(program, OPTIONS);
    assert.equal(kvBytes, program.limits.numBlocks * kvBlockBytes);
    assert.equal(kvBlockBytes, 2 * 2 * 4 * 16 * 4 + 4 * 4);
    const wanted = [weightsBytes, kvBytes, workspaceBytes].map((bytes) => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
    const before = mappedSizes();
    const engine = native.openEngine(program, OPTIONS);
    const after = mappedSizes();
    for (const bytes of new Set(wanted)) {
      const gained = after.filter((size) => size === bytes).length - before.filter((size) => size === bytes).length;
      assert.equal(gained, wanted.filter((size) => size === bytes).length, `mappings of ${bytes} bytes`);
    }
    native.closeEngine(engine);
  });

  it("gives every weight its layout and every op its kernel", () => {
    const program = tinyProgram();
    const description = native.describeProgram(program, OPTIONS);
    assert.deepEqual(
      description.weights.map(({ name }) => name),
      program.weights.map(({ name }) => name),
    );
    assert.equal(
      description.weights.reduce((sum, { bytes }) => sum + bytes, 0),
      description.weightsBytes,
    );
    assert.deepEqual(description.weights[0], {
      name: "embed",
      bytes: 128 * 64 * 2,
      layoutId: "rowmajor_bf16",
      rowGranule: 1,
    });
    assert.equal(description.weights.find(({ name }) => name === "norm")?.layoutId, "");
    assert.deepEqual(
      description.kernels.flatMap(({ ops }) => ops),
      program.ops.map(({ op }) => op),
    );
  });

  it("fuses only where no later op reads the intermediate, and tells why not", () => {
    const packages = [awkwardPackagePath(), packagePath("reference")];
    const fusedAt = (ops: { package: string; ops: string[] }[]) => ops.filter((kernel) => kernel.ops.length > 1).length;
    const program = tinyProgram();
    // Three norms are followed by a linear: of either layer's attention and of the logits. Every h is written anew before it is read.
    const whole = native.describeProgram(program, { packages, numThreads: 1, device: "cpu", deterministic: true });
    assert.equal(fusedAt(whole.kernels), 3);
    // A second reader of the last h, after the linear: that pair must stay apart.
    const sample = program.ops.pop()!;
    program.ops.push({ op: "rms_norm", x: "hl", weight: "norm", out: "hl", eps: 0 }, sample);
    const { kernels, engineKernels } = native.describeProgram(program, {
      packages,
      numThreads: 1,
      device: "cpu",
      deterministic: true,
    });
    assert.equal(fusedAt(kernels), 2);
    const none = { package: "awkward", kernel: null, reason: "has no kernel for it" };
    assert.deepEqual(kernels.at(-3), { package: "reference", kernel: "linear_bf16", ops: ["linear"], refused: [none] });
    assert.deepEqual(kernels.at(-4)!.refused, [
      { package: "awkward", kernel: "norm_linear", reason: 'would not store "hl", which a later op reads' },
    ]);
    assert.deepEqual(engineKernels, [
      { package: "reference", kernel: "begin_step", ops: ["begin_step"], refused: [none] },
    ]);
  });

  it("refuses kernels that want one weight in two layouts", () => {
    const program = tinyProgram();
    program.ops = program.ops.map((op) =>
      op.op === "linear" && op.weight === "lm_head" ? { ...op, weight: "embed" } : op,
    );
    program.weights = program.weights.filter(({ name }) => name !== "lm_head");
    const packages = [awkwardPackagePath(), packagePath("reference")];
    assert.doesNotThrow(() => native.describeProgram(program, OPTIONS));
    assert.throws(
      () => native.describeProgram(program, { packages, numThreads: 1, device: "cpu", deterministic: true }),
      failure("unimplemented", /linear.*no kernel.*reference.*"embed" in layout rowmajor_bf16.*awkward_embed/),
    );
  });

  it("says which op has no kernel and what each package said", () => {
    const packages = [awkwardPackagePath()];
    assert.throws(
      () => native.describeProgram(tinyProgram(), { packages, numThreads: 1, device: "cpu", deterministic: true }),
      failure("unimplemented", /program\.ops\[0\] \(rope_table\): no kernel; awkward: has no kernel for it/),
    );
  });

  it("refuses to open more than the machine's memory", () => {
    const program = tinyProgram();
    program.limits.numBlocks = 2 ** 31 - 1;
    assert.throws(
      () => native.openEngine(program, OPTIONS),
      failure("resource_exhausted", /this machine's .+ offers \d+/),
    );
  });
});

describe("engine life cycle", () => {
  it("refuses steps before the weights are loaded and a second load", async () => {
    const engine = native.openEngine(tinyProgram(), OPTIONS);
    await assert.rejects(native.step(engine, tinyStep([])), failure("failed_precondition", /weights are not loaded/));
    const report = await native.loadDummyWeights(engine, 1, () => {});
    assert.ok(report.bytesPacked > 0);
    await assert.rejects(
      native.loadDummyWeights(engine, 1, () => {}),
      failure("failed_precondition", /loaded already/),
    );
    native.closeEngine(engine);
  });

  it("loads after a load that failed", async () => {
    const engine = native.openEngine(tinyProgram(), OPTIONS);
    const empty = { files: [], reads: [], sharedReads: [], bytesPlanned: 0 };
    await assert.rejects(
      native.loadWeights(engine, empty, () => {}),
      failure("invalid_argument", /embed/),
    );
    await native.loadDummyWeights(engine, 1, () => {});
    native.closeEngine(engine);
  });

  it("names the field of a load plan that is wrong", async () => {
    const engine = native.openEngine(tinyProgram(), OPTIONS);
    const file = { path: "/no/such/file", bytes: 1 };
    const load = (plan: unknown) => native.loadWeights(engine, plan as never, () => {});
    await assert.rejects(load({ files: [{}] }), failure("invalid_argument", /plan\.files\[0\]\.path/));
    await assert.rejects(
      load({ files: [file], reads: [{ weightIndex: -1 }] }),
      failure("invalid_argument", /weightIndex/),
    );
    await assert.rejects(load(undefined), failure("invalid_argument", /plan: expected an object, got undefined/));
    await assert.rejects(
      native.loadDummyWeights(engine, 1, null as never),
      failure("invalid_argument", /onProgress: expected a function, got null/),
    );
    native.closeEngine(engine);
  });

  it("closes twice and refuses everything afterwards", async () => {
    const engine = await openTinyEngine();
    native.closeEngine(engine);
    native.closeEngine(engine);
    const closed = failure("failed_precondition", /closed/);
    await assert.rejects(native.step(engine, tinyStep([])), closed);
    await assert.rejects(
      native.loadDummyWeights(engine, 1, () => {}),
      closed,
    );
    assert.throws(() => native.progress(engine), closed);
    assert.throws(() => native.readBuffer(engine, "x", 1), closed);
    assert.throws(() => native.writeBuffer(engine, "x", new Float32Array(64)), closed);
  });

  it("takes only its own handles", async () => {
    const strangers: unknown[] = [null, {}, 5, { type: "engine" }];
    for (const stranger of strangers) {
      const refused = failure("invalid_argument", /expected an engine made by openEngine/);
      assert.throws(() => native.progress(stranger as EngineHandle), refused);
      assert.throws(() => native.closeEngine(stranger as EngineHandle), refused);
      await assert.rejects(native.step(stranger as EngineHandle, tinyStep([])), refused);
    }
  });

  // A load that takes long holds the steps up, so that they are surely still waiting.
  it("rejects waiting steps as cancelled when it is closed", async () => {
    const engine = native.openEngine(largeProgram(), OPTIONS);
    const plan = tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }]);
    const waiting = [
      native.loadDummyWeights(engine, 1, () => {}),
      native.step(engine, plan),
      native.step(engine, plan),
    ];
    const settled = Promise.allSettled(waiting);
    native.closeEngine(engine);
    for (const outcome of await settled) {
      assert.ok(outcome.status === "rejected");
      assert.ok(failure("cancelled", /./)(outcome.reason));
    }
  });

  it("cancels a load when it is closed", async () => {
    const engine = native.openEngine(largeProgram(), OPTIONS);
    const cancelled = assert.rejects(
      native.loadDummyWeights(engine, 1, () => {}),
      failure("cancelled", /./),
    );
    native.closeEngine(engine);
    await cancelled;
  });

  it("frees the arenas and cancels the load of a handle that was collected", async () => {
    const collect = garbageCollector();
    const before = mappedBytes();
    const cancelled = assert.rejects(abandonedLoad(), failure("cancelled", /./));
    assert.ok(mappedBytes() - before > 2 ** 28);
    for (let i = 0; i < 50 && mappedBytes() - before > 2 ** 27; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(mappedBytes() - before < 2 ** 27, "the arenas are still mapped");
    await cancelled;
  });

  it("counts the ops that it ran, and the parts of long ones", async () => {
    const engine = await openTinyEngine();
    const ticksOf = async (row: number, tokenIds: number[], stepId: number): Promise<number> => {
      const before = native.progress(engine);
      await native.step(engine, tinyStep([{ row, begin: 0, tokenIds, begins: {} }], { stepId }));
      return native.progress(engine).counter - before.counter;
    };
    // No logits were wanted: the last four ops had nothing to do.
    const numOps = tinyProgram().ops.length - 4;
    const numTicks = await ticksOf(0, [1], 41);
    assert.ok(numTicks >= numOps, `${numTicks} ticks of ${numOps} ops`);
    assert.equal(native.progress(engine).stepId, 41);
    assert.equal(native.progress(engine).op, "combine");
    const numTicksOfMore = await ticksOf(1, [1, 2, 3, 4, 5, 6, 7, 8], 42);
    assert.ok(numTicksOfMore >= numTicks + numOps, `${numTicksOfMore} ticks of eight tokens, ${numTicks} of one`);
    native.closeEngine(engine);
  });

  it("works in worker threads and survives their end at any moment", async () => {
    const code = `
      const { parentPort, workerData } = require("node:worker_threads");
      import(workerData.steps).then(async ({ openTinyEngine, tinyStep }) => {
        const { native } = await import(workerData.index);
        const engine = await openTinyEngine();
        const tokenIds = Array.from({ length: 16 }, (_, i) => i);
        for (let i = 0; i < 3; i++)
          native.step(engine, tinyStep([{ row: i, begin: 0, tokenIds, begins: {} }])).then(() => parentPort.postMessage("stepped"));
      });`;
    const workerData = {
      steps: new URL("test/tiny-steps.js", import.meta.url).href,
      index: new URL("index.js", import.meta.url).href,
    };
    for (let i = 0; i < 2; i++) {
      const worker = new Worker(code, { eval: true, workerData });
      const message = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
      assert.equal(message, "stepped");
      await worker.terminate();
    }
    // The main thread's own engine is not touched by their end.
    const engine = await openTinyEngine();
    await native.step(engine, tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }]));
    native.closeEngine(engine);
  });
});

describe("buffers", () => {
  it("come back as they were written", async () => {
    const engine = await openTinyEngine();
    const values = Float32Array.from({ length: 128 }, (_, i) => i / 3);
    native.writeBuffer(engine, "x", values);
    assert.deepEqual(native.readBuffer(engine, "x", 2), values);
    native.writeBuffer(engine, "expert_ids", Int32Array.of(3, -4));
    assert.deepEqual(native.readBuffer(engine, "expert_ids", 1), Int32Array.of(3, -4));
    assert.equal(native.readBuffer(engine, "x", 0).length, 0);
    native.closeEngine(engine);
  });

  it("refuse other types, half rows, too many rows, and unknown names", async () => {
    const engine = await openTinyEngine();
    const write = (name: string, values: unknown) => () => native.writeBuffer(engine, name, values as Float32Array);
    assert.throws(write("x", new Int32Array(64)), failure("invalid_argument", /typed array of the buffer's dtype/));
    assert.throws(write("x", [1, 2]), failure("invalid_argument", /got an array/));
    assert.throws(write("x", new Float32Array(65)), failure("invalid_argument", /whole rows of 64/));
    assert.throws(write("x", new Float32Array(17 * 64)), failure("invalid_argument", /up to 16 whole rows/));
    assert.throws(write("z", new Float32Array(64)), failure("invalid_argument", /no buffer "z"/));
    assert.throws(() => native.readBuffer(engine, "x", 17), failure("invalid_argument", /rows.*\[0, 16\], got 17/));
    native.closeEngine(engine);
  });

  it("are not touched while a step is under way", async () => {
    const engine = await openTinyEngine();
    const step = native.step(engine, tinyStep([{ row: 0, begin: 0, tokenIds: [1], begins: {} }]));
    assert.throws(() => native.readBuffer(engine, "x", 1), failure("failed_precondition", /await it/));
    await step;
    assert.equal(native.readBuffer(engine, "x", 1).length, 64);
    native.closeEngine(engine);
  });
});

function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}

/** Sizes of this process's writable anonymous mappings. */
function mappedSizes(): number[] {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  const anonymous = lines.flatMap((line) => /^(\w+)-(\w+) rw-p 00000000 00:00 0 *$/.exec(line) ?? []).filter(Boolean);
  const sizes: number[] = [];
  for (let i = 0; i < anonymous.length; i += 3)
    sizes.push(Number(BigInt(`0x${anonymous[i + 2]}`) - BigInt(`0x${anonymous[i + 1]}`)));
  return sizes;
}

function mappedBytes(): number {
  const pages = Number(readFileSync("/proc/self/statm", "utf8").split(" ")[0]);
  return pages * PAGE_BYTES;
}

/** A program whose weights take long enough to be made up that something can happen meanwhile. */
function largeProgram(): ReturnType<typeof tinyProgram> {
  const program = tinyProgram();
  const rows = 2 ** 22;
  Object.assign(program.dims, { vocabSize: rows, globalVocabSize: rows });
  program.limits.maxSequences = 1;
  for (const weight of program.weights.filter(({ name }) => /embed|lm_head/.test(name))) {
    weight.rows = rows;
    weight.sources = weight.sources.map((source) => ({ ...source, shape: [1, rows, weight.cols], rows: [0, rows] }));
  }
  program.buffers = program.buffers.map((buffer) => (buffer.name === "logits" ? { ...buffer, cols: rows } : buffer));
  return program;
}

/** Starts a load on an engine that nothing refers to afterwards. */
function abandonedLoad(): Promise<unknown> {
  return native.loadDummyWeights(native.openEngine(largeProgram(), OPTIONS), 1, () => {});
}

function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
