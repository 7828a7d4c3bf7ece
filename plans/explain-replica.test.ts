import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";

import { USUAL_SEQ_LEN } from "./cost.js";
import { explainReplica, type ReplicaExplanation } from "./explain-replica.js";
import { NO_OVERHEADS, sourcedProfile, type MachineProfile } from "./machine-profile.js";
import { describeDummy } from "./model-description.js";
import { resolvePlan } from "./resolved-plan.js";
import { parseShardingPlan } from "./sharding-plan.js";

const MODEL = describeDummy("gpt-oss-20b");
const TYPICAL: MachineProfile = {
  readBytesPerSecond: 20e9,
  flopsPerSecond: 200e9,
  attentionFlopsPerSecond: 200e9,
  linkLatencyUs: 20,
  linkBytesPerSecond: 5e9,
  ...NO_OVERHEADS,
  transport: "shm",
};

function explained(yaml: string, profile: MachineProfile = TYPICAL): { json: ReplicaExplanation; text: string } {
  const written = parseShardingPlan(yaml, "p.yaml");
  const plan = resolvePlan(written, MODEL, written.worldSize, profile);
  const sources = sourcedProfile(profile, [{ figures: profile, source: "as given" }]).sources;
  const rest = {
    sources,
    modelName: "gpt-oss-20b",
    dequantize: false,
    precision: "exact" as const,
    seqLen: USUAL_SEQ_LEN,
  };
  return explainReplica({ ...rest, model: MODEL, plan, profile });
}

describe("explainReplica", () => {
  const golden: [file: string, yaml: string][] = [
    ["explain-20b-4ranks-auto.txt", "worldSize: 4\n"],
    ["explain-20b-4ranks-ep2-tp2.txt", "worldSize: 4\nexperts: { ep: 2, tp: 2 }\n"],
    [
      "explain-20b-4ranks-expert-only.txt",
      "worldSize: 4\nattention: { ranks: [0, 1] }\nexperts: { ep: 4 }\nweights: [4, 4, 1, 1]\n",
    ],
  ];
  for (const [file, yaml] of golden) {
    // UPDATE_GOLDEN=1 writes the file anew; its diff is what a reviewer reads.
    it(`explains a plan as ${file} has it`, () => {
      const path = `plans/testdata/${file}`;
      const { text } = explained(yaml);
      if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(path, text);
      assert.equal(text, readFileSync(path, "utf8"));
    });
  }

  it("adds up each rank's classes, and compares all ranks with one copy", () => {
    const { ranks, weights_bytes: all } = explained("worldSize: 4\nexperts: { ep: 4 }\n").json;
    for (const rank of ranks) {
      assert.equal(
        Object.values(rank.bytes).reduce((a, b) => a + b),
        rank.weights_bytes,
      );
    }
    assert.equal(
      all.all_ranks,
      ranks.map((rank) => rank.weights_bytes).reduce((a, b) => a + b),
    );
    const repeated = ["embedding", "attention", "router", "norms"] as const;
    const once = repeated.map((kind) => ranks[0]!.bytes[kind]).reduce((a, b) => a + b);
    assert.equal(all.all_ranks - all.one_copy, 3 * once, "the head is cut, the rest of attention is not");
  });

  it("recommends what its own table has as fastest, and says why", () => {
    const { strategies, recommendations } = explained("worldSize: 4\n").json;
    recommendations.forEach(({ text }, index) => {
      const [first] = strategies.toSorted((a, b) => a.step_ms[index]! - b.step_ms[index]!);
      assert.ok(text.startsWith(`${first?.name} is fastest`), text);
    });
    assert.match(recommendations[0]?.text ?? "", /tp 4 is fastest .* each rank reads its part of the 4\.0 experts/);
  });

  it("recommends replicas where links are slow, and whole experts where bytes cost more than waiting", () => {
    const slow = { ...TYPICAL, linkLatencyUs: 50_000 };
    assert.match(explained("worldSize: 2\n", slow).json.recommendations[0]?.text ?? "", /^2 replicas is fastest/);
    const narrow = { ...TYPICAL, flopsPerSecond: 1e15, linkBytesPerSecond: 200e6 };
    const text = explained("worldSize: 4\n", narrow).json.recommendations[1]?.text ?? "";
    assert.match(text, /^ep 4.* is fastest .*an expert's output comes from one rank: the busiest rank sends/);
  });

  it("lists a plan that auto would not make beside those that it might", () => {
    const { strategies } = explained("worldSize: 2\nattention: { ranks: [0] }\nexperts: { ep: 2 }\n").json;
    assert.deepEqual(
      strategies.filter((row) => row.is_plan).map(({ name }) => name),
      ["ep 2, as written"],
    );
  });

  it("gives plain JSON", () => {
    const { json } = explained("worldSize: 3\nexperts: { ep: 3 }\n");
    assert.deepEqual(JSON.parse(JSON.stringify(json)), json);
  });
});
