import { native } from "../native/index.js";
import { MoesaicError } from "../proto/errors.js";
import { OUTPUT_LOGITS } from "../proto/step.js";
import type { StepEngine } from "./step-engine.js";
import { StepPlans } from "./step-plans.js";
import { benchPrompt } from "./timed-run.js";

const NUM_ROWS = 4;
const PROMPT_LEN = 4;
const NUM_DECODED = 4;
/** What an engine must have room for. */
export const CHECK_SIZES = { rows: NUM_ROWS, length: PROMPT_LEN + NUM_DECODED, logitsRows: NUM_ROWS * PROMPT_LEN };
/** Of a row of logits: float32 sums in another order, over all layers. */
const TOLERANCE_L2 = 1e-4;
/** A token may be another one where the logits are as close as this, about ten times what the tolerance allows of one. */
const TIE = 1e-3;

/**
 * Rows of logits of a fixed conversation: prompts together, then some tokens one by one. What is fed is fixed, so that engines
 * that differ do so in one place alone.
 */
export async function logitsOfCheck({ handle, program, vocabSize }: StepEngine): Promise<Float32Array[]> {
  const plans = new StepPlans(program);
  const rows = Array.from({ length: NUM_ROWS }, (_, row) => row);
  const tokens = rows.map((row) => benchPrompt(PROMPT_LEN + NUM_DECODED, vocabSize, 100 + row));
  const logits: Float32Array[] = [];
  for (let end = PROMPT_LEN; end <= PROMPT_LEN + NUM_DECODED; end++) {
    const begin = end === PROMPT_LEN ? 0 : end - 1;
    const steps = rows.map((row) => ({ row, tokenIds: tokens[row]!.slice(begin, end), output: OUTPUT_LOGITS }));
    const { result } = await native.profileStep(handle, plans.step(steps));
    for (let at = 0; at < result.logits.length; at += vocabSize) logits.push(result.logits.slice(at, at + vocabSize));
  }
  return logits;
}

/** @throws MoesaicError internal when a row differs by more than float32 sums in another order may, or has another best token */
export function compareLogits(expected: readonly Float32Array[], got: readonly Float32Array[], what: string): void {
  const wrong = expected.findIndex((row, index) => !isSame(row, got[index] ?? new Float32Array(row.length)));
  if (wrong < 0 && expected.length === got.length) return;
  const message = `${what} differ in row ${wrong} of the logits; no figures for wrong results`;
  throw new MoesaicError("internal", message);
}

function isSame(expected: Float32Array, got: Float32Array): boolean {
  let [difference, norm] = [0, 0];
  for (const [index, value] of expected.entries()) {
    difference += (value - got[index]!) ** 2;
    norm += value ** 2;
  }
  const [best, chosen] = [bestOf(expected), bestOf(got)];
  const isWithin = Math.sqrt(difference) <= TOLERANCE_L2 * Math.sqrt(norm);
  return isWithin && expected[best]! - expected[chosen]! <= TIE;
}

function bestOf(row: Float32Array): number {
  let best = 0;
  for (const [index, value] of row.entries()) if (value > row[best]!) best = index;
  return best;
}
