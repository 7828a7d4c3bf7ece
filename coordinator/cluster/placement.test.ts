import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pino } from "pino";
import { silentLogger } from "../../proto/log.js";
import type { TokenPlacement } from "../../proto/step.js";
import { PlacementPolicy } from "./placement.js";

const BOTH: TokenPlacement[] = ["replicated", "sharded"];

/** Runs steps of one size that take as long as told, and says what was chosen for each. */
function run(policy: PlacementPolicy, numSteps: number, ms: Record<TokenPlacement, number>, numTokens = 8) {
  return Array.from({ length: numSteps }, () => {
    const placement = policy.choose(numTokens);
    policy.measured(numTokens, placement, ms[placement]);
    return placement;
  });
}

describe("PlacementPolicy", () => {
  it("has no choice where the plan has one placement", () => {
    const policy = new PlacementPolicy({ placements: ["sharded"], predictMs: () => 1 }, silentLogger);
    assert.equal(policy.choose(1), "sharded");
    assert.deepEqual(policy.records(), []);
  });

  it("begins with what is predicted, tries the other, and keeps what is faster", () => {
    const predictMs = (placement: TokenPlacement) => (placement === "sharded" ? 1 : 2);
    const lines: Record<string, unknown>[] = [];
    const log = pino({ level: "info" }, { write: (line) => void lines.push(JSON.parse(line)) });
    const policy = new PlacementPolicy({ placements: BOTH, predictMs }, log);
    const chosen = run(policy, 40, { replicated: 3, sharded: 5 });
    assert.deepEqual(chosen.slice(0, 4), Array(4).fill("sharded"));
    assert.deepEqual(chosen.slice(4, 8), Array(4).fill("replicated"));
    assert.deepEqual(new Set(chosen.slice(8)), new Set(["replicated"]));
    assert.equal(lines.length, 1);
    const { placement, replicatedMs, shardedMs, numTokensMax } = lines[0]!;
    assert.deepEqual([placement, replicatedMs, shardedMs, numTokensMax], ["replicated", 3, 5, 8]);
  });

  it("keeps sizes apart by powers of two", () => {
    const policy = new PlacementPolicy({ placements: BOTH, predictMs: () => 1 }, silentLogger);
    run(policy, 20, { replicated: 1, sharded: 2 }, 4);
    run(policy, 20, { replicated: 2, sharded: 1 }, 5);
    assert.deepEqual(
      policy.records().map(({ numTokensMax, placement }) => [numTokensMax, placement]),
      [
        [4, "replicated"],
        [8, "sharded"],
      ],
    );
  });

  it("looks again at the slower one, and switches when it has become the faster", () => {
    const policy = new PlacementPolicy({ placements: BOTH, predictMs: () => 1 }, silentLogger);
    run(policy, 20, { replicated: 1, sharded: 4 });
    const chosen = run(policy, 6_000, { replicated: 3, sharded: 1 });
    assert.equal(chosen.at(-1), "sharded");
  });
});
