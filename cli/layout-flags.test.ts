import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clusterOfFlags, targetOf, type LayoutArguments } from "./layout-flags.js";

const flags = (given: Partial<LayoutArguments>) => given as LayoutArguments;

describe("clusterOfFlags", () => {
  it("describes one rank of this machine on free loopback ports unless flags say more", () => {
    const { spec } = clusterOfFlags({ model: "/m" });
    assert.equal(spec.model, "/m");
    assert.deepEqual(spec.plan, { kind: "auto" });
    assert.deepEqual(spec.api, { grpc: "127.0.0.1:0", http: "127.0.0.1:0" });
    assert.equal(spec.workers[0]!.ranks, 1);
  });

  it("writes each flag where the cluster file has it", () => {
    const { spec } = clusterOfFlags({
      dummy: "gpt-oss-20b:2",
      "num-blocks": "50",
      "block-size": "32",
      "max-batched-tokens": "64",
      "max-sequences": "8",
      "max-model-len": "100",
      kernels: "cpu",
      dequantize: true,
      threads: "2",
    });
    const { engine, scheduler } = spec;
    assert.equal(spec.model, "dummy:gpt-oss-20b:2");
    assert.deepEqual([engine.numBlocks, engine.blockSize, engine.dequantize], [50, 32, true]);
    assert.deepEqual(engine.kernels, ["cpu"]);
    assert.deepEqual([scheduler.maxBatchedTokens, scheduler.maxSequences, spec.maxModelLen], [64, 8, 100]);
    assert.equal(spec.workers[0]!.threads, 2);
  });

  it("makes tp x ep ranks of --tp and --ep", () => {
    const { spec } = clusterOfFlags({ model: "/m", tp: 2, ep: 3, "tokens-placement": "sharded" });
    assert.equal(spec.workers[0]!.ranks, 6);
    assert.ok(spec.plan.kind === "inline");
    const { worldSize, experts, attention, tokens } = spec.plan.plan;
    assert.deepEqual([worldSize, experts.ep, experts.tp, attention.tp, tokens], [6, 3, 2, 2, "sharded"]);
  });

  it("names the flags that are wrong, all at once", () => {
    const wrong = { model: "/m", "block-size": "12", "num-blocks": "many", "max-sequences": "0" };
    assert.throws(
      () => clusterOfFlags(wrong),
      (error: Error) => {
        for (const name of ["block-size", "num-blocks", "max-sequences"])
          assert.match(error.message, new RegExp(`--${name}: expected`));
        assert.doesNotMatch(error.message, /spec\.|:\d+:\d+/);
        return true;
      },
    );
  });
});

describe("targetOf", () => {
  it("takes an endpoint as it is", () => {
    assert.deepEqual(targetOf({ ...flags({}), endpoint: "a:1" }, ["endpoint", "model"]), { endpoint: "a:1" });
  });

  it("refuses no way to a model, two ways, and a layout for what runs already", () => {
    const refuses = (args: Partial<LayoutArguments> & { endpoint?: string }, message: RegExp) =>
      assert.throws(() => targetOf({ ...flags({}), ...args }, ["endpoint", "model"]), {
        code: "invalid_argument",
        message,
      });
    refuses({}, /expected one of --endpoint, --model, got none/);
    refuses({ endpoint: "a:1", model: "/m" }, /got --\w+ and --\w+/);
    refuses({ endpoint: "a:1", "num-blocks": "3" }, /leave out --num-blocks/);
  });
});
