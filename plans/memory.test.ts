import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { MoesaicError } from "../proto/errors.js";
import { blocksOfGroup, blocksOfSequence, kvGroupsOf } from "./kv-groups.js";
import {
  chooseLimits,
  chooseReplicaLimits,
  misfitOf,
  provisionalLimits,
  type ChosenLimits,
  type DeviceBytes,
  type LimitsRequest,
  type RankBytes,
} from "./memory.js";
import { describeDummy } from "./model-description.js";

const MODEL = describeDummy("gpt-oss-20b");
const GIB = 2 ** 30;

const REQUEST: LimitsRequest = {
  maxModelLen: "auto",
  maxBatchedTokens: "auto",
  maxSequences: 256,
  numBlocks: "auto",
  blockSize: 16,
  memoryFraction: 0.9,
  device: "cpu",
};
/** 12 layers of 8 KV heads of 64, 16 tokens, keys and values in float32. */
const KV_BLOCK_BYTES = 12 * 2 * 8 * 64 * 16 * 4;
const DEVICE: DeviceBytes = {
  memoryBytes: 64 * GIB,
  weightsBytes: 13 * GIB,
  workspaceBytes: GIB,
  kvBlockBytes: KV_BLOCK_BYTES,
};

function chosen(request: Partial<LimitsRequest> = {}, device: Partial<DeviceBytes> = {}): ChosenLimits {
  const full = { ...REQUEST, ...request };
  return chooseLimits(provisionalLimits(full, MODEL), full, MODEL, { ...DEVICE, ...device });
}

describe("blocks of a sequence", () => {
  const [full, sliding] = kvGroupsOf(MODEL);
  const limits = { blockSize: 16, maxBatchedTokens: 512 };

  it("grow with the sequence in a full group and stay flat in a sliding one", () => {
    assert.ok(full !== undefined && sliding !== undefined);
    assert.equal(blocksOfGroup(full, 1_000, limits), 63);
    assert.equal(blocksOfGroup(sliding, 1_000, limits), 41);
    assert.equal(blocksOfGroup(sliding, 100_000, limits), 41);
    assert.equal(blocksOfGroup(sliding, 17, limits), 2);
  });

  // Every position at which a chunk may begin and end, counted block by block.
  it("cover the window and the chunk wherever the chunk begins", () => {
    assert.ok(sliding !== undefined);
    const small = { blockSize: 8, maxBatchedTokens: 5 };
    const group = { ...sliding, window: 12 };
    for (let begin = 0; begin < 100; begin++) {
      for (let end = begin + 1; end <= begin + small.maxBatchedTokens; end++) {
        const firstToken = Math.max(0, begin - group.window + 1);
        const owned = Math.floor((end - 1) / 8) - Math.floor(firstToken / 8) + 1;
        assert.ok(owned <= blocksOfGroup(group, end, small), `chunk [${begin}, ${end}) owns ${owned}`);
      }
    }
  });
});

describe("chooseLimits", () => {
  it("takes at most 4 GiB of KV on a CPU, and says so", () => {
    const { limits, choices } = chosen();
    assert.equal(limits.numBlocks, Math.floor((4 * GIB) / KV_BLOCK_BYTES));
    assert.match(whyOf({ limits, choices }, "numBlocks"), /^4\.00 GiB of KV, the most a CPU rank takes unasked$/);
    assert.equal(limits.maxBatchedTokens, 512);
    assert.match(whyOf({ limits, choices }, "maxBatchedTokens"), /CPU/);
  });

  it("takes what the memory leaves when that is less", () => {
    const { limits, choices } = chosen({}, { memoryBytes: 16 * GIB });
    assert.equal(limits.numBlocks, Math.floor((16 * GIB * 0.9 - 14 * GIB) / KV_BLOCK_BYTES));
    assert.match(whyOf({ limits, choices }, "numBlocks"), /16\.00 GiB x memoryFraction 0\.9 leaves/);
  });

  it("takes no more than the sequences can use", () => {
    const { limits, choices } = chosen({ maxSequences: 2, maxModelLen: 100 });
    assert.equal(limits.numBlocks, 1 + 2 * (7 + 7));
    assert.match(whyOf({ limits, choices }, "numBlocks"), /all that 2 sequences of 100 tokens can use/);
  });

  it("shortens sequences to what the pool holds, to the last token, and says so once", () => {
    const { limits, choices } = chosen();
    const groups = kvGroupsOf(MODEL);
    assert.ok(limits.maxSeqLen < MODEL.maxModelLen);
    assert.equal(blocksOfSequence(groups, limits.maxSeqLen, limits), limits.numBlocks - 1);
    assert.equal(blocksOfSequence(groups, limits.maxSeqLen + 1, limits), limits.numBlocks);
    assert.equal(choices.filter(({ name }) => name === "maxModelLen").length, 1);
  });

  it("makes room for one sequence of a length that was asked for, past 4 GiB", () => {
    const { limits } = chosen({ maxModelLen: 131_072 });
    assert.equal(limits.maxSeqLen, 131_072);
    assert.ok(limits.numBlocks * KV_BLOCK_BYTES > 4 * GIB);
  });

  it("ends sequences where the model ends", () => {
    const { limits, choices } = chosen({ maxModelLen: 1_000_000 }, { kvBlockBytes: 64 });
    assert.equal(limits.maxSeqLen, 131_072);
    assert.match(whyOf({ limits, choices }, "maxModelLen"), /asked were 1000000, the model ends at 131072/);
  });

  it("takes a number of blocks as given", () => {
    const { limits, choices } = chosen({ numBlocks: 21 });
    assert.equal(limits.numBlocks, 21);
    assert.equal(limits.maxSeqLen, 160);
    assert.equal(whyOf({ limits, choices }, "numBlocks"), "");
  });

  it("chooses nothing when everything is given and fits", () => {
    const given = { maxModelLen: 100, maxBatchedTokens: 64, numBlocks: 1_000 };
    assert.deepEqual(chosen(given), {
      limits: { maxBatchedTokens: 64, maxSequences: 256, maxSeqLen: 100, blockSize: 16, numBlocks: 1_000 },
      choices: [],
    });
  });

  const refused: [what: string, request: Partial<LimitsRequest>, device: Partial<DeviceBytes>, wanted: RegExp][] = [
    [
      "weights that do not fit",
      {},
      { memoryBytes: 8 * GIB },
      /weights 13\.00 GiB \+ workspace 1\.00 GiB \+ the KV of one sequence .* there are 8\.00 GiB x memoryFraction 0\.9 = 7\.20 GiB/,
    ],
    ["more blocks than fit", { numBlocks: 1_000_000 }, {}, /numBlocks 1000000 .*there are 64\.00 GiB/],
    [
      "a length that the given blocks cannot hold",
      { numBlocks: 10, maxModelLen: 1_000 },
      {},
      /maxModelLen 1000 needs 105 .*numBlocks is 10/,
    ],
    [
      "a length that the memory cannot hold",
      { maxModelLen: 131_072 },
      { memoryBytes: 17 * GIB },
      /the KV of one sequence/,
    ],
    ["blocks for not even one token", { numBlocks: 2 }, {}, /one sequence of 1 token needs 3 .*numBlocks is 2/],
  ];
  for (const [what, request, device, wanted] of refused) {
    it(`refuses ${what}, with the arithmetic`, () => {
      assert.throws(
        () => chosen(request, device),
        (caught) => {
          assert.ok(caught instanceof MoesaicError && caught.code === "resource_exhausted");
          assert.match(caught.message, wanted);
          return true;
        },
      );
    });
  }
});

describe("chooseReplicaLimits", () => {
  const rank = (hostId: string, changes: Partial<DeviceBytes> = {}): RankBytes => ({ ...DEVICE, hostId, ...changes });
  const chosenFor = (ranks: RankBytes[], request: Partial<LimitsRequest> = {}): ChosenLimits => {
    const full = { ...REQUEST, ...request };
    return chooseReplicaLimits(provisionalLimits(full, MODEL), full, MODEL, ranks);
  };

  it("says for one rank what chooseLimits says", () => {
    assert.deepEqual(chosenFor([rank("a")]), chosen());
  });

  it("takes the blocks of the rank with least room, and names it", () => {
    const limits = chosenFor([rank("a"), rank("b", { memoryBytes: 16 * GIB }), rank("c")]);
    assert.equal(limits.limits.numBlocks, chosen({}, { memoryBytes: 16 * GIB }).limits.numBlocks);
    assert.match(whyOf(limits, "numBlocks"), /^rank 1 of b: what 16\.00 GiB x memoryFraction 0\.9 leaves/);
  });

  it("lets the ranks of one host share its memory", () => {
    const { limits } = chosenFor([rank("a", { memoryBytes: 32 * GIB }), rank("a", { memoryBytes: 32 * GIB })]);
    assert.equal(limits.numBlocks, Math.floor((32 * GIB * 0.9 - 28 * GIB) / (2 * KV_BLOCK_BYTES)));
  });

  it("allows each of them the KV that a rank takes unasked", () => {
    assert.equal(chosenFor([rank("a"), rank("a")]).limits.numBlocks, chosen().limits.numBlocks);
  });

  it("is not held back by a rank that has no KV but the token ids", () => {
    const { limits } = chosenFor([rank("a"), rank("b", { kvBlockBytes: 64 })]);
    assert.equal(limits.numBlocks, chosen().limits.numBlocks);
  });

  it("names the ranks whose host has too little", () => {
    assert.throws(
      () => chosenFor([rank("a"), rank("b", { memoryBytes: 8 * GIB })]),
      (caught) =>
        caught instanceof MoesaicError && caught.code === "resource_exhausted" && caught.place === "rank 1 of b",
    );
  });
});

function whyOf({ choices }: ChosenLimits, name: string): string {
  return choices.find((choice) => choice.name === name)?.why ?? "";
}

describe("misfitOf", () => {
  const rank = (hostId: string, memoryGib: number): RankBytes => ({ ...DEVICE, hostId, memoryBytes: memoryGib * GIB });
  const blocksOf = (gib: number): number => Math.floor((gib * GIB) / KV_BLOCK_BYTES);

  it("finds the ranks of the host that has no room for the blocks of the others, with the arithmetic", () => {
    const ranks = [rank("large", 64), rank("small", 20), rank("large", 64)];
    assert.equal(misfitOf(REQUEST, ranks, blocksOf(4)), null);
    const misfit = misfitOf(REQUEST, ranks, blocksOf(5));
    assert.deepEqual(misfit?.ranks, [1]);
    assert.deepEqual([misfit?.error.code, misfit?.error.place], ["resource_exhausted", "rank 1 of small"]);
    const arithmetic =
      /13\.00 GiB \+ workspace 1\.00 GiB \+ the replica's \d+ KV blocks 5\.00 GiB = 19\.00 GiB, there are 20\.00 GiB x memoryFraction 0\.9/;
    assert.match(misfit?.error.message ?? "", arithmetic);
  });

  it("counts what ranks of one host take together", () => {
    const ranks = [rank("shared", 40), rank("shared", 40)];
    assert.equal(misfitOf(REQUEST, ranks, blocksOf(3.9)), null);
    assert.deepEqual(misfitOf(REQUEST, ranks, blocksOf(4.1))?.ranks, [0, 1]);
  });
});
