import type { KernelOfOps } from "../plans/bound-kernels.js";
import { assert } from "../proto/errors.js";
import type { Figures } from "./bench-report.js";
import { opBytes, opLabel, type StepShape, type WeighedProgram } from "./op-bytes.js";
import { median, sum } from "./timed-run.js";

/** Steps of one shape with the times of their kernels. */
export interface TimedStep {
  phase: "decode" | "prefill";
  numTokens: number;
  /** Of the last of the steps; lengths grow from step to step. */
  sequences: StepShape["sequences"];
  /** Microseconds of each step when its kernels are not timed. */
  stepUs: number[];
  /** Of each step, microseconds of each kernel. */
  kernelUs: Float64Array[];
  /** Different experts that each step's tokens chose in the last layer. */
  expertsHit: number[];
}

/** Kernels that do the same in each layer. */
interface Kind {
  op: string;
  kernel: string;
  /** Indices of its kernels in the program. */
  kernels: number[];
  bytes: number;
}

/** A line for each kind of op, in the order of their first use. */
export function kernelFigures(weighed: WeighedProgram, kernels: readonly KernelOfOps[], step: TimedStep): Figures[] {
  return kindsOf(weighed, kernels, shapeOf(step)).map(({ op, kernel, kernels: indices, bytes }) => {
    const us = median(step.kernelUs.map((times) => sum(indices.map((index) => times[index] ?? 0))));
    return {
      ...placeOf(step),
      op,
      kernel,
      calls: indices.length,
      ...speedOf(us, bytes, indices.length),
      step_us: null,
    };
  });
}

/** All of a step: as the sum of its kernels, and as it runs when none is timed. */
export function totalFigures(lines: readonly Figures[], step: TimedStep): Figures {
  const total = (name: string): number => sum(lines.map((line) => Number(line[name])));
  const [us, bytes] = [median(step.kernelUs.map((times) => sum([...times]))), total("bytes")];
  const speed = speedOf(us, bytes, total("calls"));
  return { ...placeOf(step), op: "total", kernel: null, calls: total("calls"), ...speed, step_us: median(step.stepUs) };
}

function placeOf(step: TimedStep): Figures {
  const { phase, numTokens, sequences } = step;
  const seqLen = Math.max(...sequences.map((sequence) => sequence.seqLen));
  return { phase, rows: numTokens, seq_len: seqLen, experts_hit: shapeOf(step).expertsHit };
}

function speedOf(us: number, bytes: number, calls: number): Figures {
  return { us_per_call: us / calls, us, bytes: Math.round(bytes), gb_per_second: us === 0 ? 0 : bytes / us / 1e3 };
}

function shapeOf({ numTokens, sequences, expertsHit }: TimedStep): StepShape {
  return { numTokens, sequences, numLogitsRows: sequences.length, expertsHit: sum(expertsHit) / expertsHit.length };
}

/** Of a rank that is alone every op has a kernel, and a kernel a run of ops. */
function kindsOf(weighed: WeighedProgram, kernels: readonly KernelOfOps[], shape: StepShape): Kind[] {
  const kinds = new Map<string, Kind>();
  let firstOp = 0;
  kernels.forEach(({ package: publisher, kernel, ops: names }, index) => {
    const ops = weighed.program.ops.slice(firstOp, firstOp + names.length);
    assert(
      ops.every(({ op }, at) => op === names[at]),
      `kernel ${index} computes ${names.join(", ")}`,
    );
    firstOp += names.length;
    const op = ops.map(opLabel).join(" + ");
    const name = `${publisher}:${kernel}`;
    const kind = kinds.get(`${op} ${name}`) ?? { op, kernel: name, kernels: [], bytes: 0 };
    kind.kernels.push(index);
    kind.bytes += sum(ops.map((each) => opBytes(each, weighed, shape)));
    kinds.set(`${op} ${name}`, kind);
  });
  return [...kinds.values()];
}
