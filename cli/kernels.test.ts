import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { jsonLines, moesaic } from "../test/e2e/moesaic.js";
import { DEMO_MODEL } from "../test/paths.js";
import { installedPackages, packagePath } from "../native/index.js";

interface PackageLine {
  package: string;
  usable: boolean;
  reason?: string;
  abi_version: number;
  kernels: { name: string; ops: string[]; state: string; reason: string | null }[];
}

interface ExplanationLine {
  choices: { name: string; value: string; why: string }[];
  packages: { name: string; abi_version: number }[];
  kernels: {
    ops: string[];
    package: string;
    kernel: string;
    count: number;
    refused: { package: string; kernel: string | null; reason: string }[];
  }[];
}

const skipWithoutCuda = !installedPackages().includes("cuda") && "the cuda package is built where nvcc is";

describe("moesaic kernels list", () => {
  it("names every package with its ABI, and says of every kernel that it runs or why not", async () => {
    const packages = jsonLines<PackageLine>(await moesaic(["kernels", "list", "--json"]));
    assert.deepEqual(
      packages.map((line) => line.package),
      installedPackages(),
    );
    for (const line of packages) {
      assert.ok(line.usable && line.abi_version > 0);
      for (const { state, reason } of line.kernels) assert.equal(state === "runs", reason === null);
    }
    const reference = packages.find((line) => line.package === "reference")!;
    const asked = reference.kernels.filter(({ state }) => state !== "unused");
    assert.ok(asked.length > 10 && asked.every(({ state }) => state === "runs"));
    // No step of a cluster has these ops.
    assert.deepEqual(
      reference.kernels.flatMap(({ state, ops }) => (state === "unused" ? ops : [])),
      ["mxfp4_decode", "mxfp4_encode"],
    );
    const { stdout } = await moesaic(["kernels", "list"]);
    assert.match(stdout, /^reference \d+\.\d+\.\d+, ABI \d+, \/.*libmoesaic_kernels_reference\.so\n.* runs$/m);
  });

  it("says of a library that is no package of this ABI what is wrong, beside the others", async (test) => {
    const folder = mkdtempSync(join(tmpdir(), "moesaic-kernels-"));
    test.after(() => rmSync(folder, { recursive: true, force: true }));
    const out = dirname(packagePath("reference"));
    for (const file of ["moesaic.node", "libmoesaic_kernels_reference.so"])
      symlinkSync(join(out, file), join(folder, file));
    copyFileSync(join(out, "test", "libmoesaic_kernels_awkward_abi.so"), join(folder, "libmoesaic_kernels_old.so"));
    const result = await moesaic(["kernels", "list", "--json"], { env: { MOESAIC_NATIVE_DIR: folder } });
    const packages = jsonLines<PackageLine>(result);
    const states = packages.map((line) => [line.package, line.usable]);
    assert.deepEqual(states, [
      ["old", false],
      ["reference", true],
    ]);
    assert.match(packages[0]!.reason ?? "", /built for kernel ABI version 999, this engine wants/);
  });
});

describe("moesaic kernels explain", () => {
  it("says of each op which kernel it has and what was refused, and of each choice why", async () => {
    const flags = ["--model", DEMO_MODEL, "--device", "cpu"];
    const [line] = jsonLines<ExplanationLine>(await moesaic(["kernels", "explain", ...flags, "--json"]));
    const { choices, packages, kernels } = line!;
    assert.deepEqual(
      choices.map(({ name, value }) => [name, value]),
      [
        ["device", "cpu"],
        ["kernels", "cpu"],
        ["precision", "exact"],
        ["deterministic", "true"],
        ["dequantize", "false"],
      ],
    );
    assert.deepEqual(
      packages.map(({ name }) => name),
      ["cpu", "reference"],
    );
    const sample = kernels.find(({ ops }) => ops[0] === "sample")!;
    assert.equal(sample.package, "reference");
    assert.deepEqual(sample.refused, [{ package: "cpu", kernel: null, reason: "has no kernel for it" }]);
    assert.ok(
      kernels.some(({ ops }) => ops[0] === "begin_step"),
      "what the engine runs beside the program is there too",
    );
    const { stdout } = await moesaic(["kernels", "explain", ...flags]);
    assert.match(stdout, /^ {2}precision +exact +the CPU has kernels for float32 alone$/m);
    assert.match(stdout, /^ {2}sample +reference\/sample_f32 +x 1 +cpu has no kernel for it$/m);
  });

  it("names the kernels that are for another device, and says so", { skip: skipWithoutCuda }, async () => {
    const flags = ["--dummy", "gpt-oss-20b:2", "--device", "cpu", "--kernels", "cuda"];
    const result = await moesaic(["kernels", "explain", ...flags, "--json"]);
    const [{ kernels }] = jsonLines<ExplanationLine>(result) as [ExplanationLine];
    const attention = kernels.find(({ ops }) => ops[0] === "attention")!;
    assert.equal(attention.package, "reference");
    assert.deepEqual(
      attention.refused.map(({ kernel, reason }) => [kernel, reason]),
      [
        ["attention_fast", "does not support these shapes or dtypes"],
        ["attention_exact", "is for GPUs"],
      ],
    );
  });

  it("wants one cluster", async () => {
    const result = await moesaic(["kernels", "explain"]);
    assert.equal(result.code, 2);
    assert.match(result.stderr, /expected one of a cluster file, --model DIR and --dummy/);
  });
});

describe("the log of a worker", () => {
  it("tells each choice and each kernel once, with the reasons that kernels explain has", async () => {
    const flags = ["--model", DEMO_MODEL, "--device", "cpu"];
    const result = await moesaic(["generate", ...flags, "--tokens", "1,2", "--max-tokens", "1", "--log-level", "info"]);
    const lines = result.stderr
      .split("\n")
      .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as LogLine] : []));
    const [explained] = jsonLines<ExplanationLine>(await moesaic(["kernels", "explain", ...flags, "--json"]));
    assert.deepEqual(
      lines
        .filter(({ msg }) => msg === "engine chosen")
        .map(({ choice, value, why }) => ({ name: choice, value, why })),
      explained!.choices,
    );
    assert.deepEqual(
      lines.filter(({ msg }) => msg === "kernel bound").map(({ kernel, count }) => [kernel, count]),
      explained!.kernels.map((row) => [`${row.package}/${row.kernel}`, row.count]),
    );
  });
});

interface LogLine extends Record<string, unknown> {
  msg: string;
}
