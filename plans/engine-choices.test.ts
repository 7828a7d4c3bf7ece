import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseClusterSpec, withDevices, type ThisMachine } from "./cluster-spec.js";
import { engineChoicesOf, type EngineChoice } from "./engine-choices.js";

const NO_GPU: ThisMachine = { numGpus: 0, missing: "no driver", isLocal: (host) => host === "localhost" };
const ONE_GPU: ThisMachine = { ...NO_GPU, numGpus: 1, missing: null };

describe("engineChoicesOf", () => {
  it("gives every choice a value and a reason", () => {
    const choices = choicesOf("", NO_GPU);
    assert.deepEqual(
      choices.map(({ name }) => name),
      ["device", "kernels", "precision", "deterministic", "dequantize"],
    );
    assert.ok(choices.every(({ value, why }) => value !== "" && why !== ""));
  });

  it("takes a GPU that is there, in fast, with rows that may depend on the step", () => {
    assert.deepEqual(valuesOf(choicesOf("", ONE_GPU)), ["cuda", "cuda", "fast", "false", "false"]);
    const exact = choicesOf("engine: { precision: exact }", ONE_GPU);
    assert.deepEqual(valuesOf(exact), ["cuda", "cuda", "exact", "true", "false"]);
    assert.match(whyOf(exact, "precision"), /^as asked: float32.*no TF32/);
    const same = choicesOf("engine: { deterministic: true, dequantize: true }", ONE_GPU);
    assert.deepEqual(valuesOf(same), ["cuda", "cuda", "fast", "true", "true"]);
    assert.match(whyOf(same, "deterministic"), /as asked.*costs speed/);
  });

  const AGAINST: [settings: string, machine: ThisMachine, why: RegExp][] = [
    ["", NO_GPU, /^no driver$/],
    ["workers: [{ device: cpu }]", ONE_GPU, /^as asked$/],
    ["workers: [{ ranks: 2 }]", { ...ONE_GPU, numGpus: 2 }, /a replica has 2 ranks/],
    ["workers: [{ ranks: 2 }]\n  replicas: 2", ONE_GPU, /2 ranks and spares, 1 GPUs/],
    ["workers: [{ host: far }]", ONE_GPU, /other hosts/],
    ["engine: { kernels: reference }", ONE_GPU, /named is for GPUs/],
  ];
  for (const [settings, machine, why] of AGAINST) {
    it(`says why the CPU is taken: ${why.source}`, () => {
      const choices = choicesOf(settings, machine);
      assert.deepEqual(valuesOf(choices).slice(2), ["exact", "true", "false"]);
      assert.equal(choices[0]!.value, "cpu");
      assert.match(whyOf(choices, "device"), why);
    });
  }

  it("takes the GPU for kernels that are named and for GPUs", () => {
    assert.equal(choicesOf("engine: { kernels: [cuda] }", ONE_GPU)[0]!.value, "cuda");
  });
});

function choicesOf(settings: string, machine: ThisMachine): EngineChoice[] {
  const head = "apiVersion: moesaic.dev/v1\nkind: Cluster\nmetadata: { name: demo }\nspec:\n  model: ./m";
  const written = parseClusterSpec(`${head}\n  ${settings}\n`, "cluster.yaml");
  return engineChoicesOf(written, withDevices(written, machine), machine);
}

function valuesOf(choices: readonly EngineChoice[]): string[] {
  return choices.map(({ value }) => value);
}

function whyOf(choices: readonly EngineChoice[], name: EngineChoice["name"]): string {
  return choices.find((choice) => choice.name === name)?.why ?? "";
}
