import type { ProgramOp, RankProgram } from "../plans/rank-program.js";

/** What a step works on. */
export interface StepShape {
  numTokens: number;
  /** Rows whose logits are wanted. */
  numLogitsRows: number;
  /** Tokens of each sequence in the step, and of all that it has after it. */
  sequences: readonly { queryLen: number; seqLen: number }[];
  /** Different experts that a layer's tokens chose. */
  expertsHit: number;
}

/** A program with the bytes of its packed weights. */
export interface WeighedProgram {
  program: RankProgram;
  weightBytes: ReadonlyMap<string, number>;
}

/** As figures name it: linears by their weight, attention by what it sees. */
export function opLabel(op: ProgramOp): string {
  if (op.op === "linear") return `linear ${op.weight.split(".").at(-1)}`;
  if (op.op === "attention") return `attention ${op.window === 0 ? "full" : "sliding"}`;
  return op.op;
}

/**
 * Bytes that an op has to move at least: its weights, of experts those that were chosen, the keys and values that it reads or
 * writes, and its rows in and out, each once.
 */
export function opBytes(op: ProgramOp, { program, weightBytes }: WeighedProgram, step: StepShape): number {
  const weight = (name: string | null): number => (name === null ? 0 : (weightBytes.get(name) ?? 0));
  const buffer = (name: string): number => bufferBytes(program, name, step);
  const kv = 2 * program.dims.numKvHeads * program.dims.headDim * (program.precision === "exact" ? 4 : 2);
  switch (op.op) {
    case "rope_table":
      return buffer(op.out);
    case "embed":
      // Rows of bf16 become float32.
      return 1.5 * buffer(op.out);
    case "rms_norm":
      return buffer(op.x) + weight(op.weight) + buffer(op.out);
    case "linear":
      return buffer(op.x) + weight(op.weight) + weight(op.bias) + (op.accumulate ? 2 : 1) * buffer(op.out);
    case "rope_kv_write":
      return 2 * buffer(op.qkv) + step.numTokens * kv;
    case "attention":
      return 2 * buffer(op.out) + kv * keysRead(op.window, step);
    case "router":
      return buffer(op.x) + weight(op.weight) + weight(op.bias) + buffer(op.expertIds) + buffer(op.expertWeights);
    case "experts": {
      const whole = [op.gateUp, op.gateUpBias, op.down, op.downBias].reduce((sum, name) => sum + weight(name), 0);
      return buffer(op.x) + (whole * step.expertsHit) / program.dims.numExperts + buffer(op.out);
    }
    case "combine":
      return buffer(op.x) + buffer(op.expertWeights) + 2 * buffer(op.out);
    case "gather_rows":
      return 2 * buffer(op.out);
    case "add":
      return buffer(op.x) + 2 * buffer(op.out);
    case "sample":
      return buffer(op.logits);
    default:
      return 0;
  }
}

/** Keys that the tokens of a step see, those of one sequence counted once. */
function keysRead(window: number, { sequences }: StepShape): number {
  return sequences.reduce((sum, { queryLen, seqLen }) => {
    return sum + (window === 0 ? seqLen : Math.min(seqLen, window - 1 + queryLen));
  }, 0);
}

function bufferBytes({ buffers }: RankProgram, name: string, { numTokens, numLogitsRows }: StepShape): number {
  const spec = buffers.find((candidate) => candidate.name === name);
  if (spec === undefined) return 0;
  return (spec.rows === "logits" ? numLogitsRows : numTokens) * spec.cols * (spec.dtype === "u8" ? 1 : 4);
}
