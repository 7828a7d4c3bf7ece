import type { RopeTable } from "./rank-program.js";

/** How positions become angles, with every number filled in. */
export type RopeParameters =
  | { kind: "default"; base: number }
  | {
      kind: "yarn";
      base: number;
      /** How many times longer sequences may be than in pre-training. */
      factor: number;
      /** Rotations over the original length above which a dimension keeps its frequency, below which it is stretched. */
      betaFast: number;
      betaSlow: number;
      originalMaxPositions: number;
      /** Round the borders of the ramp to whole dimensions. gpt-oss: false; a config that does not say: true. */
      truncate: boolean;
      attentionScaling: number;
    };

/**
 * Rotary frequencies in double precision.
 * Source: YaRN, arXiv 2309.00071, section 3; gpt-oss torch/model.py.
 * @param headDim even
 */
export function ropeTable(headDim: number, rope: RopeParameters): RopeTable {
  const plain = Array.from({ length: Math.floor(headDim / 2) }, (_, d) => rope.base ** ((-2 * d) / headDim));
  if (rope.kind === "default") return { invFreq: plain, attentionScaling: 1 };
  const [low, high] = rampBorders(headDim, rope);
  const invFreq = plain.map((frequency, d) => {
    const stretched = Math.min(Math.max((d - low) / (high - low), 0), 1);
    return stretched * (frequency / rope.factor) + (1 - stretched) * frequency;
  });
  return { invFreq, attentionScaling: rope.attentionScaling };
}

/** The dimensions between which frequencies go from kept to stretched. */
function rampBorders(headDim: number, rope: Extract<RopeParameters, { kind: "yarn" }>): [number, number] {
  const dimensionOf = (rotations: number): number =>
    (headDim * Math.log(rope.originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(rope.base));
  const [fast, slow] = [dimensionOf(rope.betaFast), dimensionOf(rope.betaSlow)];
  const low = Math.max(rope.truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(rope.truncate ? Math.ceil(slow) : slow, headDim - 1);
  // A ramp without width would divide by zero.
  return low === high ? [low, high + 0.001] : [low, high];
}
