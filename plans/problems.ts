import { MoesaicError, type ErrorCode } from "../proto/errors.js";

/** More than a person reads at once; the rest is counted. */
const MAX_SHOWN = 50;

/**
 * Throws every problem of one subject as one error; returns when there are none. Each problem is a line such as
 * `cluster.yaml:4:7: spec.engine.blockSize: expected …, got …`.
 * @param subject the file or thing they were found in
 */
export function throwProblems(
  problems: readonly string[],
  subject: string,
  code: ErrorCode = "invalid_argument",
  noun = "problem",
): void {
  if (problems.length === 0) return;
  const lines = problems.slice(0, MAX_SHOWN).map((problem) => `  ${problem}`);
  if (problems.length > MAX_SHOWN) lines.push(`  and ${problems.length - MAX_SHOWN} more`);
  const count = `${problems.length} ${noun}${problems.length === 1 ? "" : "s"}`;
  throw new MoesaicError(code, [`${subject}: ${count}:`, ...lines].join("\n"));
}
