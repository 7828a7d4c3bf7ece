import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { checkFits, checkWindow, gapsAfter, poolFigures, weightsRead } from "./bench-kv.js";

const GROUP = { num_layers: 2, num_padding_layers: 0, max_bytes_per_sequence: 0 };
const GROUPS = [
  { ...GROUP, kind: "full", window: 0, bytes_per_token: 100, max_blocks_per_sequence: 50 },
  { ...GROUP, kind: "sliding", window: 8, bytes_per_token: 60, max_blocks_per_sequence: 4 },
];
const LIMITS = { max_batched_tokens: 16, max_sequences: 4, max_seq_len: 800, block_size: 16, num_blocks: 105 };

describe("poolFigures", () => {
  it("takes the null block, and what a window needs, from what fits", () => {
    const figures = poolFigures({ limits: LIMITS, kv_groups: GROUPS, kv_block_bytes: 1_664 });
    assert.equal(figures["num_blocks"], 104);
    assert.equal(figures["tokens_that_fit"], 100 * 16);
    assert.deepEqual([figures["kv_bytes_per_token_full"], figures["kv_bytes_per_token_sliding"]], [100, 60]);
  });

  it("knows models without sliding layers beside full ones", () => {
    const figures = poolFigures({ limits: LIMITS, kv_groups: GROUPS.slice(0, 1), kv_block_bytes: 1_664 });
    assert.equal(figures["tokens_that_fit"], 104 * 16);
    assert.equal(figures["kv_bytes_per_token_sliding"], 0);
  });
});

describe("gapsAfter", () => {
  it("leaves out what began while another stream was in its prefill", () => {
    const run = { ttftMs: 10, gapsMs: [30, 5, 6] };
    assert.deepEqual(gapsAfter(run, 10), [30, 5, 6]);
    assert.deepEqual(gapsAfter(run, 40), [5, 6]);
    assert.deepEqual(gapsAfter(run, 41), [6]);
  });
});

describe("weightsRead", () => {
  const explained = {
    decode: {
      seq_len: 1,
      weights_bytes: 1_000,
      kv_bytes: 0,
      total_bytes: 0,
      read_bytes_per_second: null,
      tokens_per_second_max: null,
    },
    tensors: [{ class: "experts" as const, dtype: "mxfp4" as const, num_tensors: 1, bytes: 3_200 }],
  };
  const model = { expertsPerToken: 4, numExperts: 32 };

  it("are those of a decoded token for one stream", () => {
    assert.equal(weightsRead(explained, model, 1), 1_000);
  });

  it("have more experts for more streams, and all of them for very many", () => {
    assert.equal(weightsRead(explained, model, 2), 1_000 + 3_200 * (1 - (7 / 8) ** 2 - 1 / 8));
    assert.ok(Math.abs(weightsRead(explained, model, 1_000) - (1_000 + (3_200 * 7) / 8)) < 1e-6);
  });
});

describe("checkFits", () => {
  it("refuses sequences that are too long, and so many that some would be preempted", () => {
    const explained = { limits: LIMITS, kv_groups: GROUPS };
    // 132 tokens: 9 blocks of the full group and 4 of the sliding one.
    checkFits(explained, { contexts: [100], streams: 1 });
    assert.throws(() => checkFits(explained, { contexts: [10, 770], streams: 1 }), /up to 802 tokens in 54 KV blocks/);
    assert.throws(() => checkFits(explained, { contexts: [400], streams: 4 }), /there are 104 blocks/);
    assert.throws(() => checkFits(explained, { contexts: [8], streams: 5 }), /4 may run/);
  });
});

describe("checkWindow", () => {
  it("refuses figures when sliding layers keep more than their window needs", () => {
    checkWindow({ length: 700, usedBlocks: { full: 44, sliding: 8 } }, 2, { kv_groups: GROUPS });
    const leaking = { length: 700, usedBlocks: { full: 44, sliding: 9 } };
    assert.throws(() => checkWindow(leaking, 2, { kv_groups: GROUPS }), /at 700 tokens 9 blocks .* at most 8/);
  });
});
